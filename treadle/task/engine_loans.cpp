// Tasks that hold inheriting mutexes, and what their carriers do for them.
//
// Tasks have no level of their own, and go in an order that no level changes. So what one of them
// has been lent, all carriers of the engine run at until it is given back: the holder gets on
// as soon as the tasks before it have had their turn, and no thread of a level between the two is
// in its way.
// Rejected: a queue of tasks for each level (a second scheduler, for a lock that few tasks take).
#include "treadle/task/engine.hpp"

namespace treadle::tasks {
namespace {

constexpr unsigned above_normal(core::priority level) noexcept {
  return static_cast<unsigned>(level) - static_cast<unsigned>(core::priority::high);
}

}  // namespace

// By the task itself, before it asks for the mutex. std::bad_alloc.
void engine::begin_hold(core::thread& record) {
  std::unique_ptr<loan_table::note> fresh;
  for (;;) {
    {
      const base::guard hold(core::loan_ground::book());
      if (fresh != nullptr) loans_.add(std::move(fresh));
      if (loan_table::note* const mine = loans_.find(record)) {
        ++mine->loans.holds;
        return;
      }
    }
    fresh = std::make_unique<loan_table::note>();
    fresh->who = &record;
  }
}

// After the mutex is somebody else's, or was not had. By whoever has the lock.
void engine::end_hold(core::thread& record) noexcept {
  std::unique_ptr<loan_table::note> last;
  {
    const base::guard hold(core::loan_ground::book());
    if (--loans_.find(record)->loans.holds == 0) last = loans_.remove(record);
  }
}

// With the book's lock held.
core::thread_loans& engine::loans_of(core::thread& record) noexcept {
  return loans_.find(record)->loans;
}

// With the book's lock held. A carrier may itself lend, to a task of ours even: then the change
// within is only noted, and the loop goes round once more.
void engine::change_level(core::thread& record, core::thread_level wanted) noexcept {
  const core::priority before = record.level.load(base::relaxed).effective;  // relaxed: the book's
  record.level.store(wanted, base::relaxed);                                 // relaxed: as above
  if (before > core::priority::normal) --lent_to_tasks_[above_normal(before)];
  if (wanted.effective > core::priority::normal) ++lent_to_tasks_[above_normal(wanted.effective)];
  if (changes_carriers_) return;
  changes_carriers_ = true;
  for (core::priority now = highest_lent(); now != carriers_level_; now = highest_lent()) {
    carriers_level_ = now;
    // No carrier ends, and no thread becomes one, meanwhile.
    const base::guard hold(lock_);
    const unsigned taken = seats_taken_.load(base::relaxed);  // relaxed: under the lock
    for (unsigned i = 0; i < taken; ++i) {
      const carrier& one = *seats_[i].load(base::relaxed);  // relaxed: as above
      if (one.in_use_ && one.record_ != nullptr) {
        static_cast<void>(core::loans::set_own(*one.record_, now));  // the kernel may refuse
      }
    }
  }
  changes_carriers_ = false;
}

core::priority engine::highest_lent() const noexcept {
  for (const auto level : {core::priority::urgent, core::priority::high}) {
    if (lent_to_tasks_[above_normal(level)] != 0) return level;
  }
  return core::priority::normal;
}

// A carrier begins: it stands in for the thread's scheduler, and runs at the level of the others.
void engine::begin_carrying(carrier& mine, core::thread& self) noexcept {
  const base::guard book(core::loan_ground::book());
  const base::guard hold(lock_);
  self.scheduler = &mine;
  mine.record_ = &self;
  if (carriers_level_ != core::priority::normal) {
    static_cast<void>(core::loans::set_own(self, carriers_level_));  // as above
  }
}

}  // namespace treadle::tasks
