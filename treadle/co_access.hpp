// How the co_await forms reach the state machines below the classes of the API.
#pragma once

#include "treadle/mutex.hpp"
#include "treadle/task.hpp"
#include "treadle/task/waits.hpp"

namespace treadle::co {

struct access {
  template <class Object>
  static auto& raw(Object& of) noexcept {
    return of.raw_;
  }
  static recursive_timed_mutex& counted(recursive_timed_mutex& of) noexcept { return of; }
  static recursive_timed_mutex& counted(recursive_mutex& of) noexcept { return of.inner_; }
  static unsigned& depth(recursive_timed_mutex& of) noexcept { return of.depth_; }
  static bool leaves_last(recursive_timed_mutex& of, core::thread& holder) noexcept {
    return of.leaves_last(of.raw_.is_held_by(holder));
  }
  template <class Condition>
  static sync::raw_condition& room(Condition& of) noexcept {
    return of.room_;
  }
  template <class Subscription>
  static auto broadcast(Subscription& of) noexcept -> decltype(*of.home_)& {
    return *of.home_;
  }
  template <class Subscription>
  static bool has_news(const Subscription& of) noexcept {
    return of.has_news();
  }
  template <class Subscription>
  static auto take(Subscription& from, typename Subscription::message& result) noexcept {
    return from.take(result);
  }
  template <class Subscription, class Found>
  static void complete(const Subscription&, typename Subscription::message& result,
                       const Found& found) {
    Subscription::complete(result, found);
  }
  template <class Arrival>
  static sync::raw_barrier::phase phase(const Arrival& of) noexcept {
    return of.during_;
  }
  template <class Barrier>
  static void finish(Barrier& of, const sync::raw_barrier::arrival& made) noexcept {
    static_cast<void>(of.finish(made));
  }
  static core::thread*& record(thread& of) noexcept { return of.record_; }
  static core::thread*& record(jthread& of) noexcept { return of.thread_.record_; }
};

}  // namespace treadle::co
