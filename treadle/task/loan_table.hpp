// What the tasks of one engine lend and have been lent by inheriting mutexes.
//
// A thread's notes lie in its body; a task's record has none, so its notes are here, from when it
// asks for an inheriting mutex until it holds and waits for no more of them. All is guarded by the
// book of loans (sched/loans.hpp), and memory is got and given back outside of it.
// Rejected: room for the notes in every record, which is one cache line and full; notes in the
// task's frame, for a lock may be moved to another one.
#pragma once

#include <cstdint>
#include <memory>

#include "treadle/sched/loans.hpp"

namespace treadle::tasks {

class loan_table {
 public:
  struct note {
    core::thread* who = nullptr;
    core::thread_loans loans;
    std::unique_ptr<note> next;
  };

  // Null when it has none.
  note* find(const core::thread& who) noexcept {
    note* one = bucket_of(who).get();
    while (one != nullptr && one->who != &who) one = one->next.get();
    return one;
  }
  void add(std::unique_ptr<note> fresh) noexcept {
    std::unique_ptr<note>& bucket = bucket_of(*fresh->who);
    fresh->next = std::move(bucket);
    bucket = std::move(fresh);
  }
  std::unique_ptr<note> remove(const core::thread& who) noexcept {
    std::unique_ptr<note>* place = &bucket_of(who);
    while ((*place)->who != &who) place = &(*place)->next;
    std::unique_ptr<note> found = std::move(*place);
    *place = std::move(found->next);
    return found;
  }

 private:
  // Guess: some hundred tasks at once wait for such mutexes.
  static constexpr unsigned bucket_bits = 6;

  std::unique_ptr<note>& bucket_of(const core::thread& who) noexcept {
    // Records are cache lines side by side.
    const auto line = reinterpret_cast<std::uintptr_t>(&who) / base::cache_line_bytes;
    return buckets_[line % (1u << bucket_bits)];
  }

  std::unique_ptr<note> buckets_[1u << bucket_bits];
};

}  // namespace treadle::tasks
