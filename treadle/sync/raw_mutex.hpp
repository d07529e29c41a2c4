// A mutex that knows its owner: the state machine behind all mutexes of the API.
//
// One word: the owner's record, or null when free, and three flags below the record's alignment.
//   waiters - the list is not empty; waking - a woken waiter is on its way to try, so an unlock
//   need not wake another one; starving - somebody has waited too long: nobody may barge.
// Barging is allowed otherwise: an unlock frees the mutex and wakes the first waiter, and a running
// thread may take it first. That keeps a hot lock on one processor: its hand-offs would each cost a
// switch, and a woken waiter is made ready where the unlock was, so that the whole crowd gathers
// there (decision 0005). While starving, an unlock hands the mutex to the first waiter that has
// waited since before overdue_before_; when there is no such waiter the mark goes.
// Invariant: free and starving implies waking. So whoever queues behind a free mutex is woken by
// the one who is on its way.
// unlock() does not touch the mutex after it has freed it: the next owner may destroy it.
// Sources: Go's sync.Mutex (starvation), nsync's designated waker.
#pragma once

#include <cstdint>
#include <string_view>

#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

// Which class of the API it is part of: reports of misuse name that one.
enum class mutex_kind : std::uint8_t { plain, timed, recursive, recursive_timed };

struct mutex_ground : ground<core::wait_reason::mutex> {
  static std::int64_t now() noexcept { return base::monotonic_now(); }
  static bool has_passed(base::deadline until) noexcept { return until.has_passed(); }
  static core::worker& worker() noexcept { return core::current_worker(); }
};

template <class Ground>
class basic_mutex {
 public:
  constexpr basic_mutex() noexcept = default;
  constexpr explicit basic_mutex(mutex_kind kind) noexcept : kind_(kind) {}
  ~basic_mutex() {
    // relaxed: whoever destroys has synchronised with all users already
    if (word_.load(base::relaxed) != 0) [[unlikely]]
      destroyed_in_use();
  }
  basic_mutex(const basic_mutex&) = delete;
  basic_mutex& operator=(const basic_mutex&) = delete;

  void lock() noexcept {
    core::thread& self = Ground::self();
    if (!take_plain(self)) [[unlikely]]
      lock_flagged(self);
  }
  // False on time-out only.
  bool lock_until(base::deadline until) noexcept {
    core::thread& self = Ground::self();
    return take_plain(self) || take(self) || lock_slowly(self, until);
  }
  // False on time-out and stop only.
  bool lock_within(const base::wait_limit& limit) noexcept;
  // False also when it is free, but kept for somebody who has waited too long.
  bool try_lock() noexcept {
    core::thread& self = Ground::self();
    return take_plain(self) || take(self);
  }
  void unlock() noexcept {
    std::uintptr_t seen = name_of(Ground::self());
    // release: pairs with whoever takes the mutex next
    if (!word_.compare_exchange_strong(seen, 0, base::release, base::relaxed)) [[unlikely]] {
      unlock_flagged(seen);
    }
  }
  // The parts of all these, for tasks, whose names are the records that they wait with.
  struct lock_waiter : waiter {
    lock_waiter(core::thread& waiting, std::int64_t from) noexcept : waiter(waiting), since(from) {}
    bool missed_limit = false;  // guarded by list_lock_: take_out() came while it was granted
    const std::int64_t since;   // when it first queued
  };
  bool try_lock_as(core::thread& self) noexcept { return take_plain(self) || take(self); }
  // True when it is ours, false with the node in the list.
  bool lock_or_enlist(lock_waiter& node) noexcept;
  enum class after_grant : std::uint8_t { ours, listed_again, gave_up };
  // After a grant; who has given up meanwhile makes only one more attempt.
  after_grant go_on(lock_waiter& node, bool expired) noexcept;
  // After a time-out or a stop, also beside go_on(): false for a node that a granter has taken and
  // will still touch; go_on() then lists it no more.
  bool take_out(lock_waiter& node) noexcept;
  void unlock_as(core::thread& self) noexcept {
    std::uintptr_t seen = name_of(self);
    // release: pairs with whoever takes the mutex next
    if (!word_.compare_exchange_strong(seen, 0, base::release, base::relaxed)) {
      unlock_slowly(seen, name_of(self));
    }
  }

  // Whether the calling thread holds it.
  bool is_mine() const noexcept { return is_held_by(Ground::self()); }
  // Asked by `who`, or by the task that it stands for.
  bool is_held_by(core::thread& who) const noexcept {
    // relaxed: the answer is only stable when it is yes, and then `who` wrote the word
    return owner_in(word_.load(base::relaxed)) == name_of(who);
  }

 private:
  using alarm = typename Ground::alarm;

  static constexpr std::uintptr_t waiters = 1;
  static constexpr std::uintptr_t waking = 2;
  static constexpr std::uintptr_t starving = 4;
  static constexpr std::uintptr_t flags = waiters | waking | starving;
  static_assert(flags < alignof(core::thread));

  static std::uintptr_t name_of(core::thread& who) noexcept {
    return reinterpret_cast<std::uintptr_t>(&who);
  }
  static constexpr std::uintptr_t owner_in(std::uintptr_t word) noexcept { return word & ~flags; }

  bool take_plain(core::thread& self) noexcept {
    std::uintptr_t free = 0;
    // acquire: pairs with unlock()
    return word_.compare_exchange_strong(free, name_of(self), base::acquire, base::relaxed);
  }
  // Takes a mutex that is free, whether or not there are waiters.
  [[gnu::always_inline]] bool take(core::thread& self) noexcept {
    std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    while (seen <= (waiters | waking)) {
      // acquire: pairs with unlock()
      if (word_.compare_exchange_weak(seen, seen | name_of(self), base::acquire, base::relaxed)) {
        return true;
      }
    }
    return false;
  }
  bool take_woken(core::thread& self, bool or_leave) noexcept;
  bool spin(core::thread& self) noexcept;
  void lock_flagged(core::thread& self) noexcept;
  bool lock_slowly(core::thread& self, base::deadline until, const alarm* stop = nullptr) noexcept;
  bool wait_in_list(core::thread& self, base::deadline until, const alarm* stop) noexcept;
  bool enqueue(lock_waiter& node, bool was_woken, std::int64_t now) noexcept;
  bool give_up(lock_waiter& node) noexcept;
  bool has_missed_limit(const lock_waiter& node) noexcept;
  void unlock_flagged(std::uintptr_t seen) noexcept;
  void unlock_slowly(std::uintptr_t seen, std::uintptr_t self) noexcept;
  bool free_it(std::uintptr_t& seen) noexcept;
  bool woken_one_is_overdue() noexcept;
  void destroyed_in_use() const noexcept;
  [[noreturn]] void fail_misuse(std::string_view call, std::string_view text) const noexcept;

  typename Ground::template atomic<std::uintptr_t> word_{0};
  const mutex_kind kind_ = mutex_kind::plain;  // fixed after start
  typename Ground::list_lock list_lock_;
  // Guarded by the mutex itself, while waking is set: unlocks until the next look at the clock.
  std::uint8_t looks_away_ = 1;
  std::uint8_t stride_ = 1;
  std::int64_t looked_at_ = 0;
  std::int64_t woken_since_ = 0;  // since when the one on its way has been waiting
  // Guarded by list_lock_; the waiters flag is set and cleared under it, too.
  wait_list list_;
  std::int64_t overdue_before_ = 0;
};

extern template class basic_mutex<mutex_ground>;
using raw_mutex = basic_mutex<mutex_ground>;

}  // namespace treadle::sync
