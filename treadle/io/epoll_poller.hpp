// The poller that stands on epoll: each descriptor is registered once, edge-triggered, for
// everything, and stays registered until it is closed.
//
// One for each runtime whose threads park; it opens its two descriptors when the first thread has
// to wait. watch(), unwatch() and interrupt() may come from anywhere, poll() from one worker at a
// time.
// Rejected: one-shot registration (a system call for each wait), level-triggered (the poller would
// report a descriptor for as long as nobody reads it). Source: epoll(7).
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sched/poller.hpp"

namespace treadle::io {

class epoll_poller final : public core::poller {
 public:
  epoll_poller() = default;
  // Whoever still waits for it looks again, elsewhere.
  ~epoll_poller();

  // Opens it now rather than at the first watch(). An errno as there.
  [[nodiscard]] int open() noexcept;

  // Reports events of the descriptor, with its lifetime, from now on; what is ready already is
  // the first event. An errno: of epoll_create1, eventfd or epoll_ctl; EPERM for what is always
  // ready.
  [[nodiscard]] int watch(int number, std::uint32_t lifetime) noexcept;
  void unwatch(int number) noexcept;

  bool in_use() const noexcept override {
    // seq_cst: an idle worker looks after it has said that it sleeps, and a thread that waits for
    // an event looks for sleepers after it has opened us
    return open_.load(base::seq_cst);
  }
  void poll(base::deadline until) noexcept override;
  void interrupt() noexcept override;

 private:
  // Guess: with 3 KiB of events a busy server takes one system call for some hundred requests.
  static constexpr int events_max = 256;

  int block(base::deadline until) noexcept;

  base::spin_lock opening_;
  // Guarded by opening_ until open_ is true, then fixed.
  int epoll_ = -1;
  int wake_ = -1;
  base::atomic<bool> open_{false};

  base::atomic<bool> blocked_{false};
  base::atomic<bool> interrupted_{false};

  // The one that polls.
  std::int64_t last_look_ = 0;
  epoll_event events_[events_max];
};

}  // namespace treadle::io
