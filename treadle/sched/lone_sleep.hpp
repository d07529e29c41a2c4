// Where the only worker of a scheduler sleeps, and who wakes it.
//
// Of a waker and a worker that lies down one sees the other: the waker brings its work and then
// looks, the worker says where it is going to sleep and then looks for work. Of several wakers one
// takes the word, and wakes it. A waker that comes late, when the worker has got up by itself,
// wakes nobody, or in vain.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::core {

template <template <class> class Atomic = base::atomic>
class basic_lone_sleep {
 public:
  enum bed : std::uint32_t { awake, on_futex, in_poller };

  // Anybody: where the worker is to be woken, if it is.
  [[nodiscard]] bed wake() noexcept {
    // seq_cst: the work before, the sleeper's announcement before its last look
    if (word_.load(base::seq_cst) == awake) return awake;
    return static_cast<bed>(word_.exchange(awake, base::seq_cst));
  }

  // The worker, before its last look.
  void lie_down(bed where) noexcept {
    word_.store(where, base::seq_cst);  // seq_cst: of us and a waker one sees the other
  }
  void get_up() noexcept {
    word_.store(awake, base::relaxed);  // relaxed: a late waker wakes nobody, or in vain
  }
  // On which it sleeps while the bed is on_futex.
  Atomic<std::uint32_t>& word() noexcept { return word_; }

 private:
  Atomic<std::uint32_t> word_{awake};
};

using lone_sleep = basic_lone_sleep<>;

}  // namespace treadle::core
