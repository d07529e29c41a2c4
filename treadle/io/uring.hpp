// An io_uring instance: its shared memory, its two queues, and what the kernel can do with them.
//
// One kernel thread, the owner, prepares, submits and reaps; it says so by own(). open() and
// close() may run elsewhere, before and after. Completions are collected when the owner submits or
// waits, and only then (DEFER_TASKRUN), so that nobody else is interrupted for them. A child that
// fork() made does not have the memory that is shared with the kernel.
// By raw constants and system calls: see docs/decisions/0022. Source: io_uring(7),
// io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::io {

class uring {
 public:
  uring() = default;
  ~uring() { close(); }
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;

  // 0, or the errno for which the kernel refuses it: ENOSYS and EPERM where it is switched off,
  // ENOMEM, EMFILE; EOPNOTSUPP when it lacks what we need.
  // With `polled` it also says without a system call whether there is something to collect, and
  // EINVAL where the kernel cannot do that or waits without a deadline only (before Linux 6.1).
  [[nodiscard]] int open(unsigned entries, unsigned completions, bool polled = false) noexcept;
  void close() noexcept;

  // The owner, once, before anything below. 0 or an errno.
  [[nodiscard]] int own() noexcept;
  // Kernel threads that the kernel may make for calls that block for long; a wish.
  void limit_workers(unsigned count) noexcept;

  // A cleared entry to fill in. When the queue is full, submits first; null if that fails.
  [[nodiscard]] io_uring_sqe* next() noexcept;
  // Submits what was prepared and collects completions; with `wait` comes back when there is one,
  // or for no reason.
  // 0 or an errno, after which what was prepared is prepared still.
  int submit(bool wait) noexcept;
  // Polled only: the same, and comes back after `nanoseconds` at the latest.
  int submit_and_wait_for(std::int64_t nanoseconds) noexcept;
  // Whether submit() would do anything. Polled only.
  bool has_news() const noexcept {
    // relaxed, all: what the kernel says is read after it by system calls or reap()
    constexpr std::uint32_t asked = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return (flags_of_entries_->load(base::relaxed) & asked) != 0 || has_prepared();
  }
  // Whether the kernel has not taken yet all that was prepared.
  bool has_prepared() const noexcept {
    return prepared_ != head_of_entries_->load(base::relaxed);  // relaxed: as above
  }
  // For what the kernel knows by the ring: buffers. A negative errno on failure.
  int register_with(unsigned what, void* with, unsigned count) noexcept;

  // Calls take(user_data, result) for each completion that is there.
  template <class Take>
  unsigned reap(Take&& take) noexcept {
    return reap_whole([&](const io_uring_cqe& entry) { take(entry.user_data, entry.res); });
  }
  // The same with all that a completion says.
  template <class Take>
  unsigned reap_whole(Take&& take) noexcept {
    std::uint32_t head = head_of_completions_->load(base::relaxed);  // relaxed: ours
    // acquire: pairs with the kernel's store, publishes the entries
    const std::uint32_t tail = tail_of_completions_->load(base::acquire);
    unsigned count = 0;
    for (; head != tail; ++head, ++count) {
      const io_uring_cqe entry = completions_[head & completions_mask_];
      // release: the kernel may write the entry anew
      head_of_completions_->store(head + 1, base::release);
      take(entry);
    }
    return count;
  }

  // Whether is_it(completion) holds for one that is there, without taking any.
  template <class Predicate>
  bool any(Predicate&& is_it) const noexcept {
    // relaxed and acquire: as in reap_whole()
    std::uint32_t head = head_of_completions_->load(base::relaxed);
    const std::uint32_t tail = tail_of_completions_->load(base::acquire);
    for (; head != tail; ++head) {
      if (is_it(completions_[head & completions_mask_])) return true;
    }
    return false;
  }

 private:
  using index = base::atomic<std::uint32_t>;

  int map(const io_uring_params& with) noexcept;
  unsigned publish() noexcept;
  bool knows_our_calls() noexcept;

  // Fixed after open().
  int descriptor_ = -1;
  std::byte* queues_ = nullptr;
  std::size_t queues_bytes_ = 0;
  io_uring_sqe* entries_ = nullptr;
  std::size_t entries_bytes_ = 0;
  std::uint32_t entries_count_ = 0;
  const io_uring_cqe* completions_ = nullptr;
  std::uint32_t completions_mask_ = 0;
  // Shared with the kernel.
  index* head_of_entries_ = nullptr;
  index* tail_of_entries_ = nullptr;
  const index* flags_of_entries_ = nullptr;
  index* head_of_completions_ = nullptr;
  index* tail_of_completions_ = nullptr;
  // Owner only.
  std::uint32_t prepared_ = 0;  // entries up to here are filled in
};

}  // namespace treadle::io
