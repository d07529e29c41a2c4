// The port through which a scheduler waits for the world: descriptors, completions, whatever can
// make a thread ready from outside. The scheduler owns the port, the io room plugs in.
//
// A worker without work waits in poll() instead of on its futex, at most one worker at a time; busy
// workers look in now and then without waiting. What has happened is reported by unparking the
// threads that wait for it, so a poller needs to know nothing of processors or queues.
#pragma once

#include "treadle/base/clock.hpp"

namespace treadle::core {

class poller {
 public:
  poller() = default;
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  // A guess from anywhere: whether any thread may wait here. While false nobody needs to poll.
  virtual bool in_use() const noexcept = 0;

  // Unparks the threads whose events have come; when there are none, blocks the worker for the
  // first event, interrupt() or `until`, whichever is earliest; it may come back a little before.
  // A deadline that has passed only looks. One caller at a time. Goes away (base/solo.hpp) while it
  // blocks. Keeps errno.
  virtual void poll(base::deadline until) noexcept = 0;

  // Any kernel thread: the poll() that blocks returns soon, or else the next one does.
  virtual void interrupt() noexcept = 0;

 protected:
  ~poller() = default;
};

}  // namespace treadle::core
