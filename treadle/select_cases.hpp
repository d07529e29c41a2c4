// The cases of select(), as on_receive() and its like make them. Included by select.hpp only.
//
// A case refers to its arguments, and is used up by the call that it is written in.
#pragma once

#include <chrono>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "treadle/channel.hpp"
#include "treadle/sync/raw_select.hpp"

namespace treadle::detail {

enum class case_kind { channel, descriptor, time, stop, otherwise };

// A case that is a channel's operation: `attempt` when it seems ready, which ends it all when it
// was done; `waiting` is what a wait needs: `raw` for it, `settle` when the choice was made,
// whichever, and `finish` if it was this one.
// Two words that nothing points to: while no wait is needed they stay in registers.
template <class T, class F>
class [[nodiscard]] receive_case {
 public:
  static constexpr case_kind kind = case_kind::channel;

  receive_case(channel<T>& from, F&& f) noexcept
      : raw_(&channel_access::raw(from)), f_(std::addressof(f)) {}

  [[gnu::always_inline]] bool seems_ready() const noexcept {
    return raw_->seems_ready(sync::channel_side::receiver);
  }
  template <class Settle>
  [[gnu::always_inline]] bool attempt(Settle settle) const {
    landing<T> there;
    const channel_status status =
        raw_->receive(element_of<cargo<T>>, there.place(), sync::channel_patience{nullptr, true});
    if (status == channel_status::gave_up) [[unlikely]]
      return false;
    settle();
    std::forward<F> (*f_)(there.bring(status));
    return true;
  }

  class waiting {
   public:
    static constexpr case_kind kind = case_kind::channel;

    explicit waiting(const receive_case& of) noexcept : raw_(of.raw_), f_(of.f_) {}
    sync::select_case<sync::channel_ground> raw() noexcept {
      return {raw_, &element_of<cargo<T>>, there_.place(), sync::channel_side::receiver};
    }
    void settle() noexcept {}
    void finish(channel_status status) { std::forward<F> (*f_)(there_.bring(status)); }

   private:
    sync::raw_channel* const raw_;
    std::remove_reference_t<F>* const f_;
    landing<T> there_;
  };
  // How select() hands it to a wait.
  using passed = receive_case;

 private:
  sync::raw_channel* raw_;
  std::remove_reference_t<F>* f_;
};

// `Held` is T for a copy of the caller's value, T& for the value itself.
template <class T, class Held, class F>
class [[nodiscard]] send_case {
 public:
  static constexpr case_kind kind = case_kind::channel;
  using passed = send_case&;
  using waiting = send_case&;

  send_case(channel<T>& to, Held value, F f)
      : raw_(channel_access::raw(to)), value_(std::forward<Held>(value)), f_(std::forward<F>(f)) {
    if constexpr (is_boxed<T>) box_ = std::make_unique<T>(std::move(value_));
  }
  send_case(send_case&&) = default;
  // When something threw before a choice was made.
  ~send_case() {
    try {
      settle();
    } catch (...) {  // and now its move does, too: the value is lost
    }
  }

  bool seems_ready() const noexcept { return raw_.seems_ready(sync::channel_side::sender); }
  template <class Settle>
  [[gnu::always_inline]] bool attempt(Settle settle) {
    const channel_status status =
        raw_.send(element_of<cargo<T>>, place(), sync::channel_patience{nullptr, true});
    if (status == channel_status::gave_up) return false;
    settle();
    finish(status);
    return true;
  }
  sync::select_case<sync::channel_ground> raw() noexcept {
    return {&raw_, &element_of<cargo<T>>, place(), sync::channel_side::sender};
  }
  void settle() {
    if constexpr (is_boxed<T> && std::is_reference_v<Held>) {
      give_back(box_, value_);
      box_.reset();
    }
  }
  void finish(channel_status status) {
    check_memory(status);
    if constexpr (std::is_invocable_v<F, channel_status>) {
      std::forward<F>(f_)(status);
    } else {
      if (status == channel_status::done) std::forward<F>(f_)();
    }
  }

 private:
  void* place() noexcept {
    if constexpr (is_boxed<T>) {
      return &box_;
    } else {
      return &value_;
    }
  }

  sync::raw_channel& raw_;
  Held value_;
  [[no_unique_address]] std::conditional_t<is_boxed<T>, std::unique_ptr<T>, std::tuple<>> box_;
  F f_;
};

template <class F, case_kind Kind, class What>
struct [[nodiscard]] plain_case {
  static constexpr case_kind kind = Kind;
  using passed = plain_case&;
  using waiting = plain_case&;
  void settle() noexcept {}
  void finish(channel_status) { std::forward<F>(f)(); }
  What what;
  F f;
};

struct nothing {};

// Whether a time has come for a select that does not wait: a span has not begun to run.
template <class Rep, class Period>
bool has_come(const std::chrono::duration<Rep, Period>& span) noexcept {
  return !(span > span.zero());
}
template <class Clock, class Duration>
bool has_come(const std::chrono::time_point<Clock, Duration>& point) noexcept {
  return base::deadline::of(point).has_passed();
}

}  // namespace treadle::detail
