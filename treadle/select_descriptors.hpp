// The descriptors of a select: who looks at them, and is woken for them.
//
// Channels grant the waiter, the io room wakes it for descriptors, and poll(2), without waiting,
// says which are ready: so nothing is used up by being looked at, and only the channels need be
// claimed. Each round: enlist(), look(), put nodes into the channels' lists, wait, take those out.
#pragma once

#include <poll.h>

#include <cstdint>
#include <vector>

#include "treadle/io/waiting.hpp"
#include "treadle/sync/raw_select.hpp"

namespace treadle::detail {

// Throws std::system_error for an errno other than 0.
void check_select(int error);

class watched_descriptors {
 public:
  // Lists `waiter`. `events`: of the runtime that it waits in; null for a kernel thread that waits
  // in poll(2).
  watched_descriptors(core::thread& waiter, core::poller* events, sync::raw_select& channels,
                      pollfd* asked, std::uint32_t count)
      : waiter_(waiter),
        events_(events),
        channels_(channels),
        asked_(asked),
        count_(count),
        entries_(count) {}
  ~watched_descriptors();
  watched_descriptors(const watched_descriptors&) = delete;
  watched_descriptors& operator=(const watched_descriptors&) = delete;

  // Where a kernel thread that waits in poll(2) is to be told of an event. Before enlist().
  void tell(int eventfd) noexcept { eventfd_ = eventfd; }
  // What comes after it wakes the waiter.
  void enlist();
  // One of all that is ready, descriptors and channels, each as likely, done if it is a channel's.
  // The descriptors' numbers come after the channels'. Nothing when none is.
  sync::select_outcome look();
  // Whether an event has come since enlist().
  bool has_event() const noexcept;
  // After a tell: whoever ends a wait rings before he says so, under a lock; now he has.
  void wait_for_tellers() noexcept;

 private:
  struct entry {
    io::call_target target;
    io::descriptor_waiter node;
    bool queued = false;
  };

  std::uint32_t ask();

  core::thread& waiter_;
  core::poller* const events_;
  sync::raw_select& channels_;
  pollfd* const asked_;
  const std::uint32_t count_;
  int eventfd_ = -1;
  std::vector<entry> entries_;
};

}  // namespace treadle::detail
