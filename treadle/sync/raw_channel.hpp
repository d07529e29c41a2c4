// A channel of whatever type: one of the two kinds, chosen when it is made. The state machine
// behind channel<T>, which knows how to move a T.
#pragma once

#include <cstdint>

#include "treadle/sync/channel_buffer.hpp"
#include "treadle/sync/rendezvous.hpp"

namespace treadle::sync {

extern template class basic_rendezvous<channel_ground>;
extern template class basic_channel_buffer<channel_ground>;

template <class Ground>
class basic_channel {
 public:
  using rendezvous = basic_rendezvous<Ground>;
  using buffer = basic_channel_buffer<Ground>;
  using node = channel_node<Ground>;

  static constexpr std::uint64_t no_bound = buffer::no_bound;
  static constexpr std::uint64_t capacity_max = buffer::capacity_max;

  // `capacity` as the buffer's, or 0. Not good: only the destructor may follow.
  basic_channel(const channel_element& kind, std::uint64_t capacity) noexcept
      : capacity_(capacity) {
    if (capacity == 0) {
      ::new (&direct_) rendezvous;
    } else {
      ::new (&buffered_) buffer;
      is_good_ = buffered_.open(kind, capacity);
    }
  }
  ~basic_channel() { capacity_ == 0 ? direct_.~rendezvous() : buffered_.~buffer(); }
  basic_channel(const basic_channel&) = delete;
  basic_channel& operator=(const basic_channel&) = delete;

  bool is_good() const noexcept { return is_good_; }
  std::uint64_t capacity() const noexcept { return capacity_; }

  // Before the destructor, unless it is not good.
  void clear(const channel_element& kind) noexcept {
    if (capacity_ != 0) buffered_.clear(kind);
  }

  template <class... Patience>
  [[gnu::always_inline]] channel_status send(const channel_element& kind, void* value,
                                             Patience... patience) noexcept {
    return capacity_ == 0 ? direct_.template pass<channel_side::sender>(kind, value, patience...)
                          : buffered_.send(kind, value, patience...);
  }
  template <class... Patience>
  [[gnu::always_inline]] channel_status receive(const channel_element& kind, void* to,
                                                Patience... patience) noexcept {
    if constexpr (sizeof...(patience) != 0) {
      // In line for selects, which are many branches already.
      if (capacity_ != 0) [[likely]]
        return buffered_.receive(kind, to, patience...);
    }
    return capacity_ == 0 ? direct_.template pass<channel_side::receiver>(kind, to, patience...)
                          : buffered_.receive(kind, to, patience...);
  }

  bool close() noexcept {
    return either([](auto& of) noexcept { return of.close(); });
  }
  bool is_closed() const noexcept {
    return either([](auto& of) noexcept { return of.is_closed(); });
  }
  std::uint64_t size() const noexcept { return capacity_ == 0 ? 0 : buffered_.size(); }

  // For selects: as both kinds have them.
  [[gnu::always_inline]] bool seems_ready(channel_side side) const noexcept {
    // The longer one in line.
    if (capacity_ != 0) [[likely]]
      return buffered_.seems_ready(side);
    return direct_.seems_ready(side);
  }
  const void* list_lock(channel_side side) const noexcept {
    return either([=](auto& of) noexcept { return of.list_lock(side); });
  }
  void lock_list(channel_side side) noexcept {
    either([=](auto& of) noexcept { of.lock_list(side); });
  }
  void unlock_list(channel_side side) noexcept {
    either([=](auto& of) noexcept { of.unlock_list(side); });
  }
  bool must_wait(channel_side side) const noexcept {
    return either([=](auto& of) noexcept { return of.must_wait(side); });
  }
  void push(channel_side side, node& mine) noexcept {
    either([side, &mine](auto& of) noexcept { of.push(side, mine); });
  }
  void withdraw(channel_side side, node& mine) noexcept {
    either([side, &mine](auto& of) noexcept { of.withdraw(side, mine); });
  }

 private:
  template <class F>
  decltype(auto) either(F f) noexcept {
    return capacity_ == 0 ? f(direct_) : f(buffered_);
  }
  template <class F>
  decltype(auto) either(F f) const noexcept {
    return capacity_ == 0 ? f(direct_) : f(buffered_);
  }

  const std::uint64_t capacity_;
  bool is_good_ = true;
  union {
    rendezvous direct_;
    buffer buffered_;
  };
};

using raw_channel = basic_channel<channel_ground>;

}  // namespace treadle::sync
