// Who is inside a read section, and whether all who were inside at a certain time have left.
//
// Each kernel thread has a slot. Its word is 0, or the number of the epoch in which the thread that
// runs there entered its outermost section, with how deep it is nested. A thread that stops inside
// a section takes it along: move() empties the slot into the thread's own word `moved` and counts
// the thread in one of two groups. So a slot always speaks of the thread that runs on it, and who
// waits looks at one word for each kernel thread and at two counters, however many threads there
// are. A section stays moved until its end; sections entered after a move use the slot again.
// Grace period n, one at a time: number n becomes the epoch; a fence on all kernel threads; then
// wait until no slot has an older number and the group of older sections is empty.
// Proof that it waits for a section that has not seen what its caller did before (X). The section
// stores its slot, then reads; had the fence come before the store, or had the section taken its
// number from n on, the read would have seen X. So the slot's word with an older number is there to
// be seen after the fence, until the section ends or moves. A move counts the section, in the
// lock, before it empties the slot, and the slots are looked at before the groups.
// The groups: group n & 1 is for sections of epoch n, the other for older ones while grace period n
// waits for it. A section that took an old number and moves when nobody waits joins the newer
// group: the next grace period then waits for it.
// Rejected: counters of entries and exits per kernel thread that a waiter sums up (SRCU: each is
// a chain of stores and loads through memory, 2 ns a section here), a list of all threads that
// ever read (a million of them), hooks at every switch (this needs one OR in a test that is there).
// Sources: Desnoyers, McKenney et al., "User-level implementations of read-copy update", IEEE TPDS
// 2012 (the fence that readers do not pay); Linux, kernel/rcu/srcutree.c.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::core {

struct read_book_ground {
  template <class T>
  using atomic = base::atomic<T>;
  using word = base::atomic<std::uint64_t>;
  using lock = base::spin_lock;
  // Between a slot's store and the section's reads, where the waiter's fence pays for both.
  static void light_fence() noexcept { base::compiler_fence(); }
  // The same where it cannot; see reading.cpp.
  static void full_fence() noexcept;
};

template <class Ground>
class basic_read_book {
 public:
  using word = typename Ground::word;

  static constexpr std::uint64_t none = 0;
  static constexpr std::uint64_t one = 1;  // level of nesting
  static constexpr std::uint64_t levels = 0x7fff;
  // In the epoch only: the waiter's fence is not to be had, readers must do one themselves. Beyond
  // `levels`, so that the fast path sees it in the word that it loads anyway.
  static constexpr std::uint64_t careful = 0x8000;
  static constexpr std::uint64_t next_epoch = 0x10000;

  // The epoch with one level of nesting: what a reader stores. acquire: pairs with begin_period(),
  // whoever takes the new number sees what was done before
  std::uint64_t epoch() const noexcept { return epoch_.load(base::acquire); }
  // Readers may leave the fence to the waiter from now on.
  void trust_fence() noexcept {
    epoch_.fetch_and(~careful, base::acq_rel);  // acq_rel: pairs with begin_period()
  }

  // Enters a section on the kernel thread of `mine`.
  void enter(word& mine) noexcept {
    const std::uint64_t seen = mine.load(base::relaxed);  // relaxed: our own
    if (seen != none) {
      TREADLE_CHECK((seen & levels) != levels, "read sections are nested too deep");
      // release, here and below: the waiter may see this word in place of an earlier section's end
      mine.store(seen + one, base::release);
      return;
    }
    const std::uint64_t now = epoch();
    if ((now & careful) == 0) {
      mine.store(now, base::release);
      Ground::light_fence();
    } else {
      // seq_cst: one of two sees the other, the waiter our word or we what was done before
      mine.exchange(now & ~careful, base::seq_cst);
      Ground::full_fence();
    }
  }

  // Leaves the section entered last. False when there is none.
  [[nodiscard]] bool leave(word& mine, std::uint32_t& moved) noexcept {
    const std::uint64_t seen = mine.load(base::relaxed);  // relaxed: our own
    if (seen != none) {
      // release: pairs with is_over(), the waiter destroys what we have read
      mine.store((seen & levels) == one ? none : seen - one, base::release);
      return true;
    }
    if (moved == 0) return false;
    if (moved < 2 * moved_level) {
      forget(moved);
    } else {
      moved -= moved_level;
    }
    return true;
  }

  // The thread stops, or is about to run elsewhere: its sections no longer count on this slot.
  void move(word& mine, std::uint32_t& moved) noexcept {
    const std::uint64_t seen = mine.load(base::relaxed);  // relaxed: our own
    if (seen == none) return;
    const auto depth = static_cast<std::uint32_t>(seen & levels) * moved_level;
    if (moved != 0) {
      moved += depth;
    } else {
      const base::guard<typename Ground::lock> hold(lock_);
      const std::uint64_t now = number(epoch_.load(base::relaxed));  // relaxed: under the lock
      const bool awaited = waiting_ && number(seen) < now;
      const auto group = static_cast<std::uint32_t>((awaited ? now - 1 : now) & 1);
      ++groups_[group];
      moved = depth | group;
    }
    mine.store(none, base::release);  // pairs with is_over(): counted before
  }

  // The thread ends: so do its sections.
  void leave_all(word& mine, std::uint32_t& moved) noexcept {
    mine.store(none, base::release);  // as in leave()
    if (moved != 0) forget(moved);
  }

  // Begins a grace period; one at a time. True when the caller must make all kernel threads pass a
  // fence before it asks is_over(), false when it needs a full one of its own only.
  [[nodiscard]] bool begin_period() noexcept {
    const base::guard<typename Ground::lock> hold(lock_);
    waiting_ = true;
    // acq_rel: release what its callers did; acquire for trust_fence(): no reader can have relied
    // on our fence with an older number unless we see here that it may
    return (epoch_.fetch_add(next_epoch, base::acq_rel) & careful) == 0;
  }

  // `all_slots(f)` calls f(word) for each slot until it returns false, and says whether none did;
  // slots that come meanwhile have no old sections.
  template <class AllSlots>
  [[nodiscard]] bool is_over(AllSlots all_slots) noexcept {
    const std::uint64_t now = number(epoch_.load(base::relaxed));  // relaxed: we began it
    const bool none_in_slots = all_slots([now](const word& each) {
      // acquire: pairs with leave() and move()
      const std::uint64_t seen = each.load(base::acquire);
      return seen == none || number(seen) >= now;
    });
    if (!none_in_slots) return false;
    const base::guard<typename Ground::lock> hold(lock_);
    if (groups_[(now - 1) & 1] != 0) return false;
    waiting_ = false;
    return true;
  }

 private:
  // `moved`: levels of nesting above the number of the group.
  static constexpr std::uint32_t moved_level = 2;

  static std::uint64_t number(std::uint64_t word) noexcept { return word / next_epoch; }

  void forget(std::uint32_t& moved) noexcept {
    const base::guard<typename Ground::lock> hold(lock_);
    --groups_[moved & 1];
    moved = 0;
  }

  // Read by all readers, written once a grace period.
  typename Ground::template atomic<std::uint64_t> epoch_{next_epoch | careful | one};
  typename Ground::lock lock_;
  // Guarded by lock_.
  std::uint64_t groups_[2] = {};
  bool waiting_ = false;
};

using read_book = basic_read_book<read_book_ground>;

}  // namespace treadle::core
