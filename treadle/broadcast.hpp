// broadcast: every subscriber sees every value sent from its subscription on.
//
// A ring keeps the last `capacity` values. A sender never waits: a subscriber that falls further
// behind loses the oldest, and its next receive says how many it has missed. A value lies in a
// shared block and is copied to each subscriber, outside the lock. Any thread may send and
// subscribe; a subscription belongs to one thread at a time, can be copied (the copy goes on from
// the same place) and may outlive the broadcast, which closes it. A wait parks the treadle thread.
// Happens-before: a send before the receives of its value.
// Errors: std::bad_alloc from send() and subscribe(); what T's copy throws comes from receive(),
// which has then used up the value. Source: Tokio's broadcast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "treadle/condition_variable.hpp"
#include "treadle/mutex.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// How a subscription's receive ended. `lagged`: values were lost; the next receive goes on with the
// oldest that is left.
enum class broadcast_status : std::uint8_t { done, lagged, closed, gave_up };

template <class T>
class broadcast {
  struct shared_state {
    explicit shared_state(std::size_t capacity) : ring(capacity) {}

    mutex guard;
    condition_variable changed;
    // Guarded by guard.
    std::vector<std::shared_ptr<const T>> ring;
    std::uint64_t sent = 0;
    bool closed = false;
  };

 public:
  struct [[nodiscard]] message {
    std::optional<T> value;
    broadcast_status status = broadcast_status::gave_up;
    std::uint64_t missed = 0;  // when lagged

    explicit operator bool() const noexcept { return value.has_value(); }
    T& operator*() { return value.value(); }
  };

  class subscription {
   public:
    using message = typename broadcast::message;

    // Done, lagged or closed; closed only when all that is left was received.
    message receive() { return receive_within(nullptr); }
    // Also `gave_up`.
    message receive(const wait_limit& limit) { return receive_within(&limit); }
    message try_receive() {
      const wait_limit now(std::chrono::nanoseconds(0));
      return receive_within(&now);
    }

   private:
    friend class broadcast;
    friend struct co::access;
    subscription(std::shared_ptr<shared_state> home, std::uint64_t from) noexcept
        : home_(std::move(home)), next_(from) {}

    message receive_within(const wait_limit* limit) {
      message result;
      std::shared_ptr<const T> found;
      {
        shared_state& home = *home_;
        std::unique_lock hold(home.guard);
        const auto is_there = [&] { return has_news(); };
        if (limit == nullptr) {
          home.changed.wait(hold, is_there);
        } else if (!home.changed.try_wait(hold, *limit, is_there)) {
          return result;
        }
        found = take(result);
      }
      complete(result, found);
      return result;
    }

    // With the guard held.
    bool has_news() const noexcept { return home_->sent != next_ || home_->closed; }
    std::shared_ptr<const T> take(message& result) noexcept {
      shared_state& home = *home_;
      if (home.sent == next_) {
        result.status = broadcast_status::closed;
        return nullptr;
      }
      const std::uint64_t size = home.ring.size();
      if (home.sent - next_ > size) {
        result.missed = home.sent - size - next_;
        next_ += result.missed;
        result.status = broadcast_status::lagged;
        return nullptr;
      }
      return home.ring[static_cast<std::size_t>(next_++ % size)];
    }
    // Without it.
    static void complete(message& result, const std::shared_ptr<const T>& found) {
      if (found == nullptr) return;
      result.value.emplace(*found);
      result.status = broadcast_status::done;
    }

    std::shared_ptr<shared_state> home_;
    std::uint64_t next_;  // the number of the value to receive
  };

  explicit broadcast(std::size_t capacity)
      : state_(std::make_shared<shared_state>(checked(capacity))) {}
  ~broadcast() { close(); }
  broadcast(const broadcast&) = delete;
  broadcast& operator=(const broadcast&) = delete;

  // Never waits for subscribers. False when it is closed; the value is then not sent.
  bool send(T value) {
    auto block = std::make_shared<const T>(std::move(value));
    shared_state& home = *state_;
    {
      const std::lock_guard hold(home.guard);
      if (home.closed) return false;
      // The oldest goes outside the lock, as `block`.
      home.ring[static_cast<std::size_t>(home.sent++ % home.ring.size())].swap(block);
    }
    home.changed.notify_all();
    return true;
  }

  // From the next value on.
  subscription subscribe() {
    const std::lock_guard hold(state_->guard);
    return subscription(state_, state_->sent);
  }

  // Subscribers get what is left, and then `closed`. Any number of times.
  void close() {
    const std::shared_ptr<shared_state> home = state_;
    {
      const std::lock_guard hold(home->guard);
      home->closed = true;
    }
    home->changed.notify_all();
  }

 private:
  static std::size_t checked(std::size_t capacity) {
    if (capacity == 0) throw std::invalid_argument("treadle::broadcast: a capacity of 0");
    return capacity;
  }

  const std::shared_ptr<shared_state> state_;
};

}  // namespace treadle
