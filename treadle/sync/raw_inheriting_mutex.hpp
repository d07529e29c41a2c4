// A mutex whose holder runs at the level of the highest thread that waits for it.
//
// One word: the holder's record, or null when free, and a flag, `waiters`, that the list is not
// empty. Without waiters a lock and an unlock are one compare-and-swap each. All else is done
// under the lock of the book of loans (sched/loans.hpp): queueing, giving up, passing on, and the
// levels that go with it. The flag is set and cleared under it, too, so while it is set nobody but
// the holder of the book changes the word.
// No barging: an unlock hands the mutex to the first of the highest level that waits. Who may barge
// may be of any level, and the one that waits would have lent its level for nothing.
// unlock() does not touch the mutex once somebody else can have it: the next may destroy it.
// Invariant: free implies that nobody waits.
// Rejected: the kernel's futex with priority inheritance (FUTEX_LOCK_PI) where every thread has a
// kernel thread: it lends real-time priorities only, of which an unprivileged process has none,
// and a chain would end where a thread of another model holds the next mutex.
#pragma once

#include <cstdint>
#include <string_view>

#include "treadle/base/wait_limit.hpp"
#include "treadle/sched/loans.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

struct inheriting_ground : ground<core::wait_reason::mutex>, core::loan_ground {
  static void begin_hold(core::thread& self) noexcept { core::begin_hold(self); }
  static void end_hold(core::thread& self) noexcept { core::end_hold(self); }
};

template <class Ground>
class basic_inheriting_mutex {
 public:
  constexpr basic_inheriting_mutex() noexcept = default;
  ~basic_inheriting_mutex() {
    // relaxed: whoever destroys has synchronised with all users already
    if (word_.load(base::relaxed) != 0) [[unlikely]]
      destroyed_in_use();
  }
  basic_inheriting_mutex(const basic_inheriting_mutex&) = delete;
  basic_inheriting_mutex& operator=(const basic_inheriting_mutex&) = delete;

  void lock() noexcept { static_cast<void>(lock_for("lock", base::deadline::never(), nullptr)); }
  // False on time-out only.
  bool lock_until(base::deadline until) noexcept {
    return lock_for("try_lock (with a limit)", until, nullptr);
  }
  // False on time-out and stop only.
  bool lock_within(const base::wait_limit& limit) noexcept;
  bool try_lock() noexcept;
  void unlock() noexcept;

  struct lending_waiter : waiter {
    explicit lending_waiter(core::thread& waiting) noexcept
        : waiter(waiting), lent(waiting, *this) {}
    struct back_loan : core::loan {
      back_loan(core::thread& waiting, lending_waiter& mine) noexcept : loan(waiting), node(mine) {}
      lending_waiter& node;
    } lent;
  };

  // For waits that are no thread's; the hold is begun and ended around them by whoever waits.
  // False when the node is listed, and is granted or taken out.
  bool lock_or_enlist(lending_waiter& mine) noexcept;
  // After a time-out or a stop: true when it has left the list; false when it was chosen, and then
  // the grant has come, or comes.
  bool take_out(lending_waiter& mine) noexcept;
  // Whether the next holder is of a higher level than `holder` then is: the caller gives way.
  [[nodiscard]] bool unlock_as(core::thread& holder) noexcept;

 private:
  using alarm = typename Ground::alarm;
  using loans = core::basic_loans<Ground>;

  static constexpr std::uintptr_t waiters = 1;

  static std::uintptr_t name_of(core::thread& who) noexcept {
    return reinterpret_cast<std::uintptr_t>(&who);
  }
  static core::thread* holder_in(std::uintptr_t word) noexcept {
    return reinterpret_cast<core::thread*>(word & ~waiters);
  }

  bool take(core::thread& self) noexcept {
    std::uintptr_t free = 0;
    // acquire: pairs with unlock(); release: who queues reads our notes by the name in the word
    return word_.compare_exchange_strong(free, name_of(self), base::acq_rel, base::relaxed);
  }
  bool lock_for(std::string_view call, base::deadline until, const alarm* stop) noexcept;
  bool wait_in_list(core::thread& self, base::deadline until, const alarm* stop) noexcept;
  bool queue(lending_waiter& mine) noexcept;
  bool pass_on(core::thread& self) noexcept;
  void check_not_held(std::string_view call, const core::thread& self) const noexcept;
  void destroyed_in_use() const noexcept;
  [[noreturn]] static void fail_misuse(std::string_view call, std::string_view text,
                                       const core::thread* holder) noexcept;

  typename Ground::template atomic<std::uintptr_t> word_{0};
  core::loan_source source_;  // guarded by the book
};

extern template class basic_inheriting_mutex<inheriting_ground>;
using raw_inheriting_mutex = basic_inheriting_mutex<inheriting_ground>;

}  // namespace treadle::sync
