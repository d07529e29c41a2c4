// A mutex that knows its owner: the state machine behind all mutexes of the API.
//
// One word: the owner's record, or null when free, and two flags below the record's alignment.
//   waiters - the list is not empty; waking - a woken waiter is on its way to try, so an unlock
//   need not wake another one.
// Barging is allowed: an unlock frees the mutex and wakes the first waiter, and a running thread
// may take it first. That keeps a hot lock on one processor: its hand-offs would each cost a
// switch. A waiter that has lost for longer than patience is handed the mutex directly, so nobody
// starves. Lock and unlock without contention are one compare-and-swap each.
// unlock() does not touch the mutex after it has freed it: the next owner may destroy it.
// Sources: Go's sync.Mutex (starvation), nsync's designated waker.
#pragma once

#include <cstdint>
#include <string_view>

#include "treadle/base/biased.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

// Which class of the API it is part of: reports of misuse name that one.
enum class mutex_kind : std::uint8_t { plain, timed, recursive, recursive_timed };

class raw_mutex {
 public:
  constexpr raw_mutex() noexcept = default;
  constexpr explicit raw_mutex(mutex_kind kind) noexcept : kind_(kind) {}
  ~raw_mutex() {
    // relaxed: whoever destroys has synchronised with all users already
    if (word_.load(base::relaxed) != 0) [[unlikely]]
      destroyed_in_use();
  }
  raw_mutex(const raw_mutex&) = delete;
  raw_mutex& operator=(const raw_mutex&) = delete;

  void lock() noexcept {
    core::thread& self = core::current_thread();
    if (!take_free(self)) [[unlikely]]
      lock_slowly(self, base::deadline::never());
  }
  // False on time-out only.
  bool lock_until(base::deadline until) noexcept {
    core::thread& self = core::current_thread();
    return take_free(self) || lock_slowly(self, until);
  }
  // False on time-out and stop only.
  bool lock_within(const base::wait_limit& limit) noexcept;
  bool try_lock() noexcept {
    core::thread& self = core::current_thread();
    return take_free(self) || take_flagged(self);
  }
  void unlock() noexcept {
    std::uintptr_t mine = name_of(core::current_thread());
    // release: pairs with whoever takes the mutex next
    if (!word_.compare_exchange_strong(mine, 0, base::release, base::relaxed)) [[unlikely]] {
      unlock_slowly(mine);
    }
  }
  // Whether the calling thread holds it.
  bool is_mine() const noexcept {
    // relaxed: the answer is only stable when it is yes, and then we wrote the word
    return owner_in(word_.load(base::relaxed)) == name_of(core::current_thread());
  }

 private:
  static constexpr std::uintptr_t waiters = 1;
  static constexpr std::uintptr_t waking = 2;
  static constexpr std::uintptr_t flags = waiters | waking;

  static std::uintptr_t name_of(core::thread& who) noexcept {
    return reinterpret_cast<std::uintptr_t>(&who);
  }
  static constexpr std::uintptr_t owner_in(std::uintptr_t word) noexcept { return word & ~flags; }

  bool take_free(core::thread& self) noexcept {
    std::uintptr_t free = 0;
    // acquire: pairs with unlock()
    return word_.compare_exchange_strong(free, name_of(self), base::acquire, base::relaxed);
  }
  bool take_flagged(core::thread& self) noexcept;
  bool take_woken(core::thread& self) noexcept;
  bool spin(core::thread& self) noexcept;
  bool lock_slowly(core::thread& self, base::deadline until,
                   const core::stop_alarm* stop = nullptr) noexcept;
  bool enqueue(waiter& node, bool first, bool was_woken) noexcept;
  bool give_up(waiter& node) noexcept;
  void unlock_slowly(std::uintptr_t seen) noexcept;
  void clear_waking() noexcept;
  void destroyed_in_use() const noexcept;
  [[noreturn]] void fail_misuse(std::string_view call, std::string_view text) const noexcept;

  base::biased<std::uintptr_t> word_{0};
  const mutex_kind kind_ = mutex_kind::plain;  // fixed after start
  base::spin_lock list_lock_;
  bool hand_over_ = false;  // the first waiter has lost for too long; guarded by list_lock_
  // Guarded by list_lock_; the waiters flag is set and cleared under it, too.
  wait_list list_;
};

}  // namespace treadle::sync
