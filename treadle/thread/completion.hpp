// The word in which a thread's end and whoever waits for it meet.
//
// unjoined: nobody has said yet. has_finished: over, and the record is the joiner's. detached:
// the end frees the record. Else the record of who waits, with the bit `may_leave` when that one
// may give up waiting, or `lent` when it waits for nothing else at all: it is parked without its
// permit then, and who ends the thread owns it and makes it ready.
// A thread is joined or detached once, and by one at a time; only the end writes has_finished, and
// touches the record no more after that. So whoever finds it frees the record, and may be gone
// before the end's unpark: that meets a record that is never unmapped (thread.hpp), as a stray one.
// A joiner that can do nothing but wait may be claimed before the word is written, and handed over
// to. One that may leave cannot: when it is claimed it may have left, and be parked for another.
// Rejected: a count of references (a locked operation more in each thread's life).
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/biased.hpp"

namespace treadle::core {

struct thread;

template <template <class> class Atomic = base::biased>
class basic_completion {
 public:
  // What the end has found.
  using seen = std::uintptr_t;

  // relaxed, both: by who makes the record, or runs one that nobody joins; what it goes through
  // to who may join it, a queue or a new kernel thread, publishes it
  void begin() noexcept { word_.store(unjoined, base::relaxed); }
  void begin_detached() noexcept { word_.store(detached, base::relaxed); }

  bool has_ended() const noexcept {
    // acquire: pairs with the end's release, publishes all that the thread did
    return word_.load(base::acquire) == has_finished;
  }

  // The first half of a join: leaves the caller's record for the end to unpark. False when that
  // has come already. Once per thread, by one caller, who is not the thread.
  [[nodiscard, gnu::always_inline]] bool become_joiner(thread& self) noexcept {
    return change(unjoined, address_of(self));
  }
  // The same for a joiner that parks without its permit.
  [[nodiscard, gnu::always_inline]] bool lend(thread& self) noexcept {
    const std::uintptr_t mine = address_of(self) | lent;
    return base::swap_if_alone(word_, std::uintptr_t{unjoined}, mine) || change(unjoined, mine);
  }
  // The same for one that may give up: `wait` parks `self` and says whether it has seen the end.
  // False when it has not: the thread can still be joined then.
  template <class Wait>
  [[nodiscard]] bool wait_within(thread& self, Wait wait) noexcept {
    const std::uintptr_t mine = address_of(self) | may_leave;
    // When we cannot take ourselves out the end has found us, and is over.
    return !change(unjoined, mine) || wait() || !change(mine, unjoined);
  }
  // Instead of a join. False when the end has come already: the caller frees the record.
  [[nodiscard]] bool detach() noexcept { return change(unjoined, detached); }

  // ---- by the end ----

  // Before it: who waits, if anybody does yet.
  [[gnu::always_inline]] seen waiting() const noexcept {
    return word_.load(base::acquire);  // pairs with change(), makes the joiner's record readable
  }
  // Whether one is parked without its permit, and which.
  [[gnu::always_inline]] static bool has_lender(seen what) noexcept { return (what & lent) != 0; }
  [[gnu::always_inline]] static thread& lender_in(seen what) noexcept {
    return *reinterpret_cast<thread*>(what - lent);
  }
  // The one that has parked, or is about to, for this alone, or null: may be claimed.
  static thread* claimable_in(seen what) noexcept {
    const bool is = what > detached && (what & (may_leave | lent)) == 0;
    return is ? reinterpret_cast<thread*>(what) : nullptr;
  }
  // The last touch, when the joiner is ours: a lender, or claimed.
  [[gnu::always_inline]] void end_for_owned() noexcept {
    // release: pairs with the joiner's acquire; the joiner alone touches the record after this
    word_.store(has_finished, base::release);
  }
  // The last touch in all other cases. Calls what is to be done then: free() where it was detached,
  // ready(lender), unpark(joiner), or nothing.
  template <class Free, class Ready, class Unpark>
  void end(Free free, Ready ready, Unpark unpark) noexcept {
    // acq_rel: release what the thread did to its joiner; acquire the joiner's record
    const seen before = word_.exchange(has_finished, base::acq_rel);
    if (before == detached) {
      free();
    } else if (has_lender(before)) {
      ready(lender_in(before));
    } else if (before != unjoined) {
      unpark(*reinterpret_cast<thread*>(before & ~may_leave));
    }
  }

 private:
  static constexpr std::uintptr_t unjoined = 0;
  static constexpr std::uintptr_t has_finished = 1;
  static constexpr std::uintptr_t detached = 2;
  // Bits that no record's address has.
  static constexpr std::uintptr_t may_leave = 4;
  static constexpr std::uintptr_t lent = 8;

  static std::uintptr_t address_of(const thread& self) noexcept {
    return reinterpret_cast<std::uintptr_t>(&self);
  }
  [[gnu::always_inline]] bool change(std::uintptr_t from, std::uintptr_t to) noexcept {
    // acq_rel: release our record to the ending thread; on failure acquire what it did
    return word_.compare_exchange_strong(from, to, base::acq_rel, base::acquire);
  }

  Atomic<std::uintptr_t> word_{unjoined};
};

using completion = basic_completion<>;

}  // namespace treadle::core
