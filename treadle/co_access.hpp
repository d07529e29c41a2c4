// How the co_await forms reach the state machines below the classes of the API.
#pragma once

#include "treadle/task.hpp"
#include "treadle/task/waits.hpp"

namespace treadle::co {

struct access {
  template <class Object>
  static auto& raw(Object& of) noexcept {
    return of.raw_;
  }
  template <class Condition>
  static sync::raw_condition& room(Condition& of) noexcept {
    return of.room_;
  }
  template <class Arrival>
  static sync::raw_barrier::phase phase(const Arrival& of) noexcept {
    return of.during_;
  }
  static core::thread*& record(thread& of) noexcept { return of.record_; }
  static core::thread*& record(jthread& of) noexcept { return of.thread_.record_; }
};

}  // namespace treadle::co
