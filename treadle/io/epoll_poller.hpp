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
#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/rousing.hpp"

namespace treadle::io {

struct descriptor;

class epoll_poller final : public descriptor_poller {
 public:
  epoll_poller() noexcept : descriptor_poller(false) {}
  // Whoever still waits for it looks again, elsewhere.
  ~epoll_poller() override;

  // An errno of epoll_create1, eventfd or epoll_ctl.
  [[nodiscard]] int open() noexcept override;
  [[nodiscard]] int watch(int number, std::uint32_t lifetime) noexcept override;
  bool unwatch(int number, std::uint32_t lifetime, watch_kind what,
               file_release* release) noexcept override;

  bool in_use() const noexcept override {
    // seq_cst: an idle worker looks after it has said that it sleeps, and a thread that waits for
    // an event looks for sleepers after it has opened us
    return open_.load(base::seq_cst);
  }
  void poll(base::deadline until) noexcept override;
  void interrupt() noexcept override;

 private:
  // Measured (examples/http_server, 1000 connections): a request costs 1 to 2 % less than with 256.
  // Schedulers look each 64 turns; with more at once the ring of m:n flows over, and what is
  // touched of a connection here is out of the caches again when its turn comes.
  static constexpr int events_max = 64;

  int block(base::deadline until) noexcept;
  void deliver(int count) noexcept;
  static descriptor* descriptor_of(const epoll_event& event) noexcept;

  base::spin_lock opening_;
  // Guarded by opening_ until open_ is true, then fixed.
  int epoll_ = -1;
  int wake_ = -1;
  bool is_nice_ = false;  // who opened it, and so its workers
  base::atomic<bool> open_{false};

  rousing rousing_;

  // The one that polls.
  std::int64_t last_look_ = 0;
  epoll_event events_[events_max];
  descriptor* found_[events_max];  // here and not on the stack of whichever thread polls
};

}  // namespace treadle::io
