// Who lends whom a level: the book of priority inheritance.
//
// A source is something that one thread holds and others wait for; each of these lends its level to
// the holder, who runs at the highest that it has been lent, or its own. A holder that waits itself
// lends on what it has been lent, so that a chain of any length runs at its waiter's level. When a
// waiter leaves, by a grant or because it gives up, what it had lent is taken back along the chain.
// All of it is guarded by one lock for the process: the paths are those of waiting threads, short
// beside a park, and a chain then is of one moment. Rings of threads that wait for each other end
// the walk, because nobody's level changes any more.
// Rejected: a lock for each source, taken hand over hand along the chain (Linux's rt_mutex): five
// times the code, for locks that few threads wait for.
// Source: Sha, Rajkumar and Lehoczky, "Priority inheritance protocols", IEEE Trans. Computers
// 39(9), 1990.
#pragma once

#include <algorithm>

#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/scheduler.hpp"

namespace treadle::core {

struct loan_source;

// One that waits. Guarded by the book, but for `who`.
struct loan {
  explicit loan(thread& waiting) noexcept : who(&waiting) {}

  thread* const who;
  loan_source* at = nullptr;  // null: it waits no more
  priority level = priority::normal;
  loan* next = nullptr;
  loan* previous = nullptr;
};

// Guarded by the book.
struct loan_source {
  thread* borrower = nullptr;   // the holder, while anybody waits
  loan_source* next = nullptr;  // of the same borrower
  loan* first = nullptr;        // the highest first, then in order of arrival
  loan* last = nullptr;
};

// Ground has: book(), the lock; notes_of(thread&), its thread_loans; apply(thread&, thread_level).
// Everything with the book's lock held.
template <class Ground>
struct basic_loans {
  // `mine.who` begins to wait for what `holder` has.
  static void begin(loan& mine, loan_source& at, thread& holder) noexcept {
    mine.at = &at;
    mine.level = level_of(*mine.who).effective;
    if (at.first == nullptr) take_on(at, holder);
    insert(mine);
    mine.who->in_loans = true;
    Ground::notes_of(*mine.who).lends = &mine;
    settle(&holder);
  }

  // It gives up.
  static void end(loan& mine) noexcept {
    loan_source& at = *mine.at;
    thread* holder = at.borrower;
    drop(mine);
    if (at.first == nullptr) let_go(at);
    settle(holder);
  }

  // The holder gives it to the first that waits, to whom the others lend from now on; null when
  // nobody waits.
  static loan* pass_on(loan_source& at) noexcept {
    loan* chosen = at.first;
    if (chosen == nullptr) return nullptr;
    thread* before = at.borrower;
    let_go(at);
    drop(*chosen);
    if (at.first != nullptr) take_on(at, *chosen->who);
    settle(before);
    settle(chosen->who);
    return chosen;
  }

  // 0, or the errno with which the kernel refused.
  static int set_own(thread& which, priority wanted) noexcept {
    const thread_level before = level_of(which);
    const priority effective = which.in_loans ? highest(which, wanted) : wanted;
    const int error = Ground::apply(which, {wanted, effective});
    if (effective != before.effective) lend_on(which);
    return error;
  }

  static thread_level level_of(const thread& which) noexcept {
    return which.level.load(base::relaxed);  // relaxed: changed under the book's lock
  }

 private:
  static priority highest(thread& which, priority own) noexcept {
    priority found = own;
    for (loan_source* one = Ground::notes_of(which).borrowed; one != nullptr; one = one->next) {
      found = std::max(found, one->first->level);
    }
    return found;
  }

  // After a change of what `which` has been lent: it, and those to whom it lends.
  static void settle(thread* which) noexcept {
    const thread_level before = level_of(*which);
    const priority now = highest(*which, before.own);
    forget_if_quit(*which);
    if (now == before.effective) return;
    static_cast<void>(Ground::apply(*which, {before.own, now}));
    lend_on(*which);
  }

  // A chain is walked in a loop, not by recursion: it may be long.
  static void lend_on(thread& changed) noexcept {
    thread* which = &changed;
    while (which->in_loans) {
      loan* mine = Ground::notes_of(*which).lends;
      if (mine == nullptr) return;
      remove(*mine);
      mine->level = level_of(*which).effective;
      insert(*mine);
      which = mine->at->borrower;
      const thread_level before = level_of(*which);
      const priority now = highest(*which, before.own);
      if (now == before.effective) return;
      static_cast<void>(Ground::apply(*which, {before.own, now}));
    }
  }

  static void take_on(loan_source& at, thread& holder) noexcept {
    thread_loans& notes = Ground::notes_of(holder);
    at.borrower = &holder;
    at.next = notes.borrowed;
    notes.borrowed = &at;
    holder.in_loans = true;
  }
  static void let_go(loan_source& at) noexcept {
    loan_source** place = &Ground::notes_of(*at.borrower).borrowed;
    while (*place != &at) place = &(*place)->next;
    *place = at.next;
    at.borrower = nullptr;
  }

  static void drop(loan& mine) noexcept {
    remove(mine);
    mine.at = nullptr;
    Ground::notes_of(*mine.who).lends = nullptr;
    forget_if_quit(*mine.who);
  }
  // Who lends nothing and has been lent nothing may end, and its notes with it.
  static void forget_if_quit(thread& which) noexcept {
    const thread_loans& notes = Ground::notes_of(which);
    which.in_loans = notes.borrowed != nullptr || notes.lends != nullptr;
  }

  static void insert(loan& mine) noexcept {
    loan_source& at = *mine.at;
    loan* before = at.last;
    while (before != nullptr && before->level < mine.level) before = before->previous;
    mine.previous = before;
    mine.next = before != nullptr ? before->next : at.first;
    (mine.previous != nullptr ? mine.previous->next : at.first) = &mine;
    (mine.next != nullptr ? mine.next->previous : at.last) = &mine;
  }
  static void remove(loan& mine) noexcept {
    loan_source& at = *mine.at;
    (mine.previous != nullptr ? mine.previous->next : at.first) = mine.next;
    (mine.next != nullptr ? mine.next->previous : at.last) = mine.previous;
  }
};

// The runtime's own.
struct loan_ground {
  static base::spin_lock& book() noexcept;
  static thread_loans& notes_of(thread& which) noexcept { return which.scheduler->loans_of(which); }
  static int apply(thread& which, thread_level wanted) noexcept {
    return which.scheduler->set_level(which, wanted);
  }
};
using loans = basic_loans<loan_ground>;

// Changes the level that a thread was given. Any kernel thread. 0, or the errno with which the
// kernel refused; the level is kept all the same.
int set_own_priority(thread& which, priority wanted) noexcept;

// Around the time that the calling thread holds or waits for a source.
void begin_hold(thread& self) noexcept;
void end_hold(thread& self) noexcept;

}  // namespace treadle::core
