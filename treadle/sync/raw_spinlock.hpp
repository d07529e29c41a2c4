// A lock that never parks and knows its owner: the state machine behind spinlock.
//
// One word: the owner's record, or null when free. A waiter looks until it is free and only then
// tries, so that waiters share the line; when its holder cannot be running at the same time, or has
// not unlocked for a while, it gives way to other threads, of which the holder is one.
// unlock() does not touch the lock after it has freed it: the next owner may destroy it.
// The kernel thread's own count of locks (base/spin_lock.hpp) is not for this one: the holder may
// give way and go on elsewhere.
// Source: test and test-and-set, Rudolph and Segall, ISCA'84.
#pragma once

#include <cstdint>
#include <string_view>

#include "treadle/base/check.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

struct spinlock_ground : ground<core::wait_reason::none> {
  // Looks between two times of giving way: few where the holder waits for our processor.
  static unsigned looks() noexcept { return core::current_worker().spins_max; }
  // How many the thread holds, for the check when it parks; see core::check_holds_no_spinlock().
  static void count([[maybe_unused]] core::thread& self, [[maybe_unused]] int change) noexcept {
#if defined(TREADLE_ASSERTIONS)
    self.body->spinlocks += change;
#endif
  }
};

template <class Ground>
class basic_spinlock {
 public:
  constexpr basic_spinlock() noexcept = default;
  ~basic_spinlock() {
    // relaxed: whoever destroys has synchronised with all users already
    if (word_.load(base::relaxed) != 0 && !base::process_is_ending()) [[unlikely]] {
      base::fail_misuse("spinlock::~spinlock", "it is locked");
    }
  }
  basic_spinlock(const basic_spinlock&) = delete;
  basic_spinlock& operator=(const basic_spinlock&) = delete;

  void lock() noexcept {
    core::thread& self = Ground::self();
    if (!take(self)) [[unlikely]]
      lock_slowly(self);
    Ground::count(self, 1);
  }
  bool try_lock() noexcept {
    core::thread& self = Ground::self();
    // relaxed look first: a failing swap would take the line away from the holder
    if (word_.load(base::relaxed) != 0 || !take(self)) return false;
    Ground::count(self, 1);
    return true;
  }
  void unlock() noexcept {
    core::thread& self = Ground::self();
    // relaxed: only we could have written our name
    if (word_.load(base::relaxed) != name_of(self)) [[unlikely]] {
      base::fail_misuse("spinlock::unlock", "the calling thread does not hold it");
    }
    Ground::count(self, -1);
    word_.store(0, base::release);  // pairs with take()
  }

 private:
  static std::uintptr_t name_of(core::thread& who) noexcept {
    return reinterpret_cast<std::uintptr_t>(&who);
  }
  bool take(core::thread& self) noexcept {
    std::uintptr_t free = 0;
    // acquire: pairs with unlock()
    return word_.compare_exchange_strong(free, name_of(self), base::acquire, base::relaxed);
  }
  void lock_slowly(core::thread& self) noexcept;

  typename Ground::template atomic<std::uintptr_t> word_{0};
};

template <class Ground>
void basic_spinlock<Ground>::lock_slowly(core::thread& self) noexcept {
  // relaxed, here and below: only a look
  if (word_.load(base::relaxed) == name_of(self)) {
    base::fail_misuse("spinlock::lock", "the calling thread holds it already");
  }
  // Gives the CPU away, too, now and then: the holder's kernel thread may be waiting for it.
  typename Ground::pause pause;
  for (unsigned looks = Ground::looks();;) {
    if (word_.load(base::relaxed) == 0 && take(self)) return;
    if (looks-- > 0) {
      pause.once();
    } else {
      Ground::give_way();
      looks = Ground::looks();
    }
  }
}

extern template class basic_spinlock<spinlock_ground>;
using raw_spinlock = basic_spinlock<spinlock_ground>;

}  // namespace treadle::sync
