// co_await on channels and oneshots.
#pragma once

#include <memory>
#include <utility>

#include "treadle/channel.hpp"
#include "treadle/co_access.hpp"
#include "treadle/oneshot.hpp"

namespace treadle::co {
namespace detail {

using forever = tasks::wait_for<tasks::channel_wait<false>>;
using limited = tasks::wait_within<tasks::channel_wait<true>>;

// A send of what lies in the caller's frame; a T whose move may throw travels in a box.
template <class T, class Wait>
class sending : public Wait {
 public:
  template <class... Limit>
  sending(channel<T>& on, T& value, Limit&&... limit) noexcept
      : Wait(typename Wait::kind{&treadle::detail::channel_access::raw(on),
                                 &treadle::detail::element_of<treadle::detail::cargo<T>>, &value,
                                 sync::channel_side::sender},
             std::forward<Limit>(limit)...),
        value_(value) {}
  bool await_ready() {
    if constexpr (treadle::detail::is_boxed<T>) {
      box_ = std::make_unique<T>(std::move(value_));
      this->how().value = &box_;
    }
    return Wait::await_ready();
  }
  channel_status await_resume() {
    const channel_status status = Wait::await_resume();
    if constexpr (treadle::detail::is_boxed<T>) treadle::detail::give_back(box_, value_);
    treadle::detail::check_memory(status);
    return status;
  }

 private:
  T& value_;
  [[no_unique_address]] std::conditional_t<treadle::detail::is_boxed<T>, std::unique_ptr<T>,
                                           std::tuple<>>
      box_;
};

template <class T, class Wait>
class sending_copy : private std::tuple<T>, public sending<T, Wait> {
 public:
  template <class... Limit>
  sending_copy(channel<T>& on, const T& value, Limit&&... limit)
      : std::tuple<T>(value),
        sending<T, Wait>(on, std::get<0>(static_cast<std::tuple<T>&>(*this)),
                         std::forward<Limit>(limit)...) {}
};

template <class T, class Wait>
class receiving : public Wait {
 public:
  template <class... Limit>
  explicit receiving(channel<T>& on, Limit&&... limit) noexcept
      : Wait(typename Wait::kind{&treadle::detail::channel_access::raw(on),
                                 &treadle::detail::element_of<treadle::detail::cargo<T>>, nullptr,
                                 sync::channel_side::receiver},
             std::forward<Limit>(limit)...) {}
  bool await_ready() noexcept {
    this->how().value = there_.place();
    return Wait::await_ready();
  }
  received<T> await_resume() { return there_.bring(Wait::await_resume()); }

 private:
  treadle::detail::landing<T> there_;
};

}  // namespace detail

// co_await gives a channel_status. The value is moved from when that is `done`.
template <class T>
[[nodiscard]] auto send(channel<T>& on, std::type_identity_t<T>&& value) noexcept {
  return detail::sending<T, detail::forever>(on, value);
}
template <class T>
[[nodiscard]] auto send(channel<T>& on, std::type_identity_t<T>&& value,
                        wait_limit limit) noexcept {
  return detail::sending<T, detail::limited>(on, value, std::move(limit));
}
template <class T>
[[nodiscard]] auto send(channel<T>& on, const std::type_identity_t<T>& value) {
  return detail::sending_copy<T, detail::forever>(on, value);
}
template <class T>
[[nodiscard]] auto send(channel<T>& on, const std::type_identity_t<T>& value, wait_limit limit) {
  return detail::sending_copy<T, detail::limited>(on, value, std::move(limit));
}

// co_await gives a received<T>.
template <class T>
[[nodiscard]] auto receive(channel<T>& on) noexcept {
  return detail::receiving<T, detail::forever>(on);
}
template <class T>
[[nodiscard]] auto receive(channel<T>& on, wait_limit limit) noexcept {
  return detail::receiving<T, detail::limited>(on, std::move(limit));
}
template <class T, class... Limit>
[[nodiscard]] auto receive(oneshot_receiver<T>& on, Limit... limit) {
  return receive(on.as_channel(), std::move(limit)...);
}

}  // namespace treadle::co
