// The poller that stands on io_uring: each descriptor is polled by one request that reports every
// edge (a multishot poll) until it is taken back.
//
// One kernel thread prepares, submits and reaps (see uring.hpp). Where one kernel thread runs all
// threads of a runtime it is that one, in poll(). Where several do, none of them can be it: it
// would be interrupted for the ring in calls of the program's own, and what it began would end with
// it. There the poller has a kernel thread of its own, which unparks, and in_use() is false.
// A socket of which the program has said receive_ahead() is received from by one request, too (a
// multishot receive), into buffers that the ring chooses; see receive_queue.hpp.
// A request holds its file open: whoever closes it must have it taken back first. Done at once by
// the ring's own kernel thread; another one asks for it, and waits only where somebody is there to
// answer. A request may end by itself (no room for completions, no memory): then its descriptor is
// watched by nobody, and the next wait begins anew.
// After fork() the child has no ring: see blocking_pool.hpp.
// Why and when, with measurements: docs/decisions/0023. Source: io_uring_enter(2).
#pragma once

#include <pthread.h>

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/receive_buffers.hpp"
#include "treadle/io/rousing.hpp"
#include "treadle/io/uring.hpp"
#include "treadle/io/uring_inbox.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {

enum class ring_owner {
  whoever_polls,  // the one kernel thread that calls poll() and watch()
  own_thread,
};

class uring_poller final : public descriptor_poller {
 public:
  explicit uring_poller(ring_owner owner) noexcept : descriptor_poller(true), owner_(owner) {}
  // Whoever still waits for it looks again, elsewhere. With ring_owner::whoever_polls that kernel
  // thread must have ended: the kernel then has taken back its requests.
  ~uring_poller() override;

  // An errno: of io_uring_setup, eventfd or the kernel thread; EOPNOTSUPP or EINVAL where the
  // kernel lacks something. Then it can do nothing.
  [[nodiscard]] int open() noexcept override;
  [[nodiscard]] int watch(int number, std::uint32_t lifetime) noexcept override;
  bool unwatch(int number, std::uint32_t lifetime, watch_kind what,
               file_release* release) noexcept override;
  [[nodiscard]] int receive(int number, std::uint32_t lifetime, watch_kind what) noexcept override;
  void catch_up() noexcept override;

  bool in_use() const noexcept override;
  void poll(base::deadline until) noexcept override;
  void interrupt() noexcept override;

 private:
  // Guess: as many as become ready between two looks of a busy server.
  static constexpr unsigned entries_max = 256;
  static constexpr unsigned completions_max = 4096;

  static void* thread_main(void* poller);
  void serve() noexcept;
  bool work() noexcept;
  int adopt() noexcept;
  bool is_mine() const noexcept;
  bool is_ours() const noexcept;

  bool post(const uring_inbox::order& one) noexcept;
  void post(file_release& release) noexcept;
  void rouse() noexcept;
  int begin(int number, std::uint32_t lifetime, watch_kind what) noexcept;
  bool end_now(int number, std::uint32_t lifetime, watch_kind what, bool waits) noexcept;
  void take_back(int number, std::uint32_t lifetime, watch_kind what) noexcept;
  void take_orders() noexcept;

  io_uring_sqe& must_have_entry() noexcept;
  void listen() noexcept;
  void collect() noexcept;
  void block(base::deadline until) noexcept;
  void reap() noexcept;
  void handle(const io_uring_cqe& entry) noexcept;
  void count_down(std::uint64_t tag, std::int32_t result, bool over) noexcept;
  void handle_receipt(const io_uring_cqe& entry, bool over) noexcept;
  void handle_end(const io_uring_cqe& entry, bool over) noexcept;

  const ring_owner owner_;
  // Fixed after open().
  uring ring_;
  int wake_ = -1;
  pthread_t thread_{};
  std::uint32_t forks_ = 0;
  bool open_ = false;

  // Atomic.
  base::atomic<core::worker*> adopted_by_{nullptr};  // the ring's kernel thread
  rousing rousing_;
  base::atomic<bool> ends_{false};
  base::atomic<bool> cannot_receive_{false};

  uring_inbox inbox_;

  // The ring's kernel thread only.
  uring_inbox::order taken_[uring_inbox::orders_max];
  file_release* being_released_ = nullptr;
  std::uint32_t last_release_ = 0;
  bool listening_ = false;
  receive_buffers* buffers_ = nullptr;
  std::int64_t last_look_ = 0;
};

}  // namespace treadle::io
