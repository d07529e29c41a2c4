// Channels: values handed from thread to thread. A wait parks the treadle thread, not its worker.
//
// A channel has any number of senders and receivers, threads of any model and foreign kernel
// threads. What is common to all operations:
//   - Values arrive in the order in which they were sent, each at one receiver. Waiting threads are
//     served in order of arrival.
//   - A value is sent or it is not: when an operation does not come back with `done`, the value is
//     the caller's as before.
//   - After close() nothing more can be sent; who waits to send gets `closed`, and his value is not
//     sent. Receivers get what is in the buffer, and then `closed`.
//   - The last parameter says how long (treadle/wait_limit.hpp); what can be done at once is done
//     also when the limit has ended. The thread's own stop token does not end a wait unless given.
//   - Happens-before: a send before the receive that gets its value; close() before `closed`; with
//     a bound of n the k-th receive before the end of the (k + n)-th send.
//   - Whoever got the last value, or `closed`, may destroy the channel, though others may not be
//     back yet from the calls that brought it. Misuse is fatal: destroying it while threads
//     wait.
// Sources: Hoare's CSP; Go's chan, whose order of service this is; Kotlin's channels for names.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#include "treadle/sync/raw_channel.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// The capacity of a channel that takes everything: send() then never waits, and may throw
// std::bad_alloc. Memory is the only bound.
inline constexpr std::size_t unbounded = static_cast<std::size_t>(sync::raw_channel::no_bound);

namespace detail {

// Memory for a value that is made and ended by others.
template <class T>
union late {
  late() noexcept {}
  ~late() {}
  T value;
};

template <class T>
inline constexpr sync::channel_element element_of = {
    sizeof(T), alignof(T),
    [](void* to, void* from) noexcept { ::new (to) T(std::move(*static_cast<T*>(from))); },
    [](void* value) noexcept { static_cast<T*>(value)->~T(); }};

// A T whose move may throw travels in a box, so that nothing can throw inside the channel.
template <class T>
using cargo = std::conditional_t<std::is_nothrow_move_constructible_v<T>, T, std::unique_ptr<T>>;
template <class T>
inline constexpr bool is_boxed = !std::is_same_v<cargo<T>, T>;

template <class T>
class landing;
struct channel_access;

}  // namespace detail

// What a receive brought: a value, or why there is none. Like std::optional, and turns into one.
template <class T>
class [[nodiscard]] received {
 public:
  explicit received(channel_status without) noexcept : status_(without) {}
  received(received&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : status_(other.status_) {
    if (has_value()) ::new (&there_.value) T(std::move(other.there_.value));
  }
  received& operator=(received&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    if (this != &other) {
      end();
      status_ = channel_status::gave_up;  // should the next line throw
      if (other.has_value()) ::new (&there_.value) T(std::move(other.there_.value));
      status_ = other.status_;
    }
    return *this;
  }
  ~received() { end(); }

  channel_status status() const noexcept { return status_; }
  bool has_value() const noexcept { return status_ == channel_status::done; }
  explicit operator bool() const noexcept { return has_value(); }
  T& operator*() & noexcept { return there_.value; }
  const T& operator*() const& noexcept { return there_.value; }
  T&& operator*() && noexcept { return std::move(there_.value); }
  T* operator->() noexcept { return &there_.value; }
  const T* operator->() const noexcept { return &there_.value; }
  // Throws std::bad_optional_access when there is none.
  T& value() & {
    check();
    return there_.value;
  }
  T&& value() && {
    check();
    return std::move(there_.value);
  }
  operator std::optional<T>() && {  // NOLINT: implicit, they mean the same
    if (!has_value()) return std::nullopt;
    return std::optional<T>(std::move(there_.value));
  }

 private:
  template <class>
  friend class channel;
  template <class>
  friend class detail::landing;

  received() noexcept = default;
  void check() const {
    if (!has_value()) throw std::bad_optional_access();
  }
  void end() noexcept {
    if (has_value()) there_.value.~T();
  }

  channel_status status_ = channel_status::gave_up;
  detail::late<T> there_;
};

namespace detail {

// Where a channel makes a value for a receiver.
template <class T>
class landing {
 public:
  void* place() noexcept {
    if constexpr (is_boxed<T>) {
      return &box_.value;
    } else {
      return &result_.there_.value;
    }
  }
  // Once, after the operation ended so. Throws what the move of T does; the value is lost then.
  [[gnu::always_inline]] received<T>&& bring(channel_status status) {
    if constexpr (is_boxed<T>) {
      if (status == channel_status::done) {
        const cargo<T> full = std::move(box_.value);
        box_.value.~cargo<T>();
        ::new (&result_.there_.value) T(std::move(*full));
      }
    }
    result_.status_ = status;
    return std::move(result_);
  }

 private:
  received<T> result_;
  [[no_unique_address]] std::conditional_t<is_boxed<T>, late<cargo<T>>, std::tuple<>> box_;
};

// A box that is still full was not sent: its value goes back.
template <class T>
void give_back(std::unique_ptr<T>& box, T& value) {
  static_assert(std::is_move_assignable_v<T>, "a value that is not sent is given back");
  if (box) value = std::move(*box);
}

inline void check_memory(channel_status status) {
  if (status == sync::channel_no_memory) [[unlikely]]
    throw std::bad_alloc();
}

}  // namespace detail

// `capacity` values wait in it at most: 0 means that a sender waits for its receiver, `unbounded`
// that it never waits. T need only be movable. It is moved up to twice, under a lock when there is
// a buffer: its move must not wait. A T whose move may throw is moved outside, into memory of its
// own; if it throws in send(), nothing was sent; if it does in receive(), the value is lost.
template <class T>
class channel {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a channel carries objects");
  static_assert(std::is_nothrow_destructible_v<T>, "a value must end without an exception");

 public:
  using value_type = T;

  explicit channel(std::size_t capacity = 0) : raw_(kind, checked(capacity)) {
    if (!raw_.is_good()) throw std::bad_alloc();
  }
  ~channel() { raw_.clear(kind); }
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  // Waits until the value is in the buffer or with a receiver. Done or closed; `value` is moved
  // from when done only.
  // Inlined, as receive() is: see base/indirect_return.hpp.
  [[gnu::always_inline]] channel_status send(T&& value) { return send_from(value); }
  [[gnu::always_inline]] channel_status send(const T& value) { return send_copy(value); }
  // The same within the limit.
  channel_status send(T&& value, const wait_limit& limit) {
    return send_from(value, sync::channel_patience{&limit, false});
  }
  channel_status send(const T& value, const wait_limit& limit) {
    return send_copy(value, sync::channel_patience{&limit, false});
  }
  // The same without waiting.
  channel_status try_send(T&& value) { return send_from(value, at_once); }
  channel_status try_send(const T& value) { return send_copy(value, at_once); }

  // Waits for a value. Done or closed.
  [[gnu::always_inline]] received<T> receive() { return receive_one(); }
  received<T> receive(const wait_limit& limit) {
    return receive_one(sync::channel_patience{&limit, false});
  }
  received<T> try_receive() { return receive_one(at_once); }

  // Any thread, any number of times; true for the first.
  bool close() noexcept { return raw_.close(); }

  // These three are true for a moment only, but once closed it stays closed.
  bool is_closed() const noexcept { return raw_.is_closed(); }
  std::size_t size() const noexcept { return static_cast<std::size_t>(raw_.size()); }
  bool empty() const noexcept { return size() == 0; }
  std::size_t capacity() const noexcept { return static_cast<std::size_t>(raw_.capacity()); }

  // for (T& value : values): receives until it is closed and empty. Several threads may do so.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = T;

    explicit iterator(channel& from) : from_(&from), now_(from.receive()) {}
    T& operator*() const noexcept { return *now_; }
    T* operator->() const noexcept { return &*now_; }
    iterator& operator++() {
      now_ = from_->receive();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !now_.has_value(); }

   private:
    channel* from_;
    mutable received<T> now_;
  };
  iterator begin() { return iterator(*this); }
  std::default_sentinel_t end() noexcept { return {}; }

 private:
  friend struct detail::channel_access;
  using stored = detail::cargo<T>;
  static constexpr const sync::channel_element& kind = detail::element_of<stored>;
  static constexpr sync::channel_patience at_once{nullptr, true};

  static std::uint64_t checked(std::size_t capacity) {
    if (capacity != unbounded && capacity > sync::raw_channel::capacity_max) {
      throw std::length_error("treadle::channel: the capacity is too large");
    }
    return capacity;
  }

  template <class... Patience>
  [[gnu::always_inline]] channel_status pass(stored& value, Patience... patience) {
    const channel_status status = raw_.send(kind, &value, patience...);
    detail::check_memory(status);
    return status;
  }
  template <class... Patience>
  [[gnu::always_inline]] channel_status send_from(T& value, Patience... patience) {
    if constexpr (detail::is_boxed<T>) {
      auto box = std::make_unique<T>(std::move(value));
      const channel_status status = raw_.send(kind, &box, patience...);
      detail::give_back(box, value);
      detail::check_memory(status);
      return status;
    } else {
      return pass(value, patience...);
    }
  }
  template <class... Patience>
  [[gnu::always_inline]] channel_status send_copy(const T& value, Patience... patience) {
    if constexpr (detail::is_boxed<T>) {
      auto box = std::make_unique<T>(value);
      return pass(box, patience...);
    } else {
      T copy(value);
      return pass(copy, patience...);
    }
  }
  template <class... Patience>
  [[gnu::always_inline]] received<T> receive_one(Patience... patience) {
    if constexpr (detail::is_boxed<T>) {
      detail::landing<T> there;
      return there.bring(raw_.receive(kind, there.place(), patience...));
    } else {
      received<T> result;
      result.status_ = raw_.receive(kind, &result.there_.value, patience...);
      return result;
    }
  }

  sync::raw_channel raw_;
};

namespace detail {

struct channel_access {
  template <class T>
  static sync::raw_channel& raw(channel<T>& of) noexcept {
    return of.raw_;
  }
};

}  // namespace detail
}  // namespace treadle
