// A single-use barrier, shaped like <latch>. wait() parks the treadle thread, not its worker.
#pragma once

#include <cstddef>

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_latch.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

// count_down() never parks. wait() returns once the count is zero; it may destroy the latch then,
// also before others have returned from count_down() or arrive_and_wait().
// Happens-before: every count_down() before every return from wait().
// Cancellation: try_wait() with a stop token in its limit.
// Misuse is fatal: a negative count. Source: std::latch.
class latch {
 public:
  constexpr explicit latch(std::ptrdiff_t count) : raw_(count) {
    if (count < 0) base::fail_misuse("latch", "the count is negative");
  }
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  static constexpr std::ptrdiff_t max() noexcept { return PTRDIFF_MAX; }

  void count_down(std::ptrdiff_t by = 1) {
    if (by < 0) base::fail_misuse("latch::count_down", "the number is negative");
    if (by > 0) raw_.count_down(by);
  }
  bool try_wait() const noexcept { return raw_.try_wait(); }
  // False when the limit came first.
  bool try_wait(const wait_limit& limit) const { return raw_.wait(limit); }
  void wait() const { raw_.wait(); }
  void arrive_and_wait(std::ptrdiff_t by = 1) {
    if (by < 0) base::fail_misuse("latch::arrive_and_wait", "the number is negative");
    raw_.arrive_and_wait(by);
  }

 private:
  friend struct co::access;
  mutable sync::raw_latch raw_;
};

}  // namespace treadle
