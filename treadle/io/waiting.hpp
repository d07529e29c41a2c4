// Waiting for a descriptor: the part of every call that may block.
//
// A thread whose scheduler has a poller parks, and the poller wakes it; any other waits on its
// kernel thread in poll(2), with an eventfd through which a close or a stop reaches it. Any thread.
// Source of the two-step form, try and wait: epoll(7), "Do I need to continuously read/write".
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdint>

#include "treadle/base/wait_limit.hpp"
#include "treadle/io/cancellation.hpp"
#include "treadle/io/descriptor.hpp"

namespace treadle::io {

// A call's view of its descriptor.
struct call_target {
  descriptor* which = nullptr;
  int number = -1;
  std::uint32_t lifetime = 0;  // as the call began

  // 0 or an errno.
  [[nodiscard]] int open(int descriptor_number) noexcept;
  // The number may be another file's by now.
  [[nodiscard]] bool is_another() const noexcept {
    // acquire: pairs with begin_lifetime()
    return which->lifetime.load(base::acquire) != lifetime;
  }
};

// Waits until one of the `wanted` bits may be set, unless `state` is no longer what the caller
// saw. 0: try again; EBADF: closed meanwhile; ETIMEDOUT; ECANCELED; or the poller's errno.
[[nodiscard]] int wait_for_event(const call_target& target, std::uint32_t seen,
                                 std::uint32_t wanted, const base::wait_limit& limit) noexcept;

// The first part of it, for tasks; `node` says who waits for what. Queued: the wait ends when its
// outcome is set, and who gives up calls give_up(). Not queued: 0 as above, or an errno.
[[nodiscard]] int begin_wait(const call_target& target, std::uint32_t seen, descriptor_waiter& node,
                             core::poller& events, bool& queued) noexcept;

// Has the calling thread's poller open, if it has one: for calls that may take the last descriptor.
[[nodiscard]] int open_poller() noexcept;

// For waits on several descriptors: the node is in the list afterwards, or has ended as closed if
// it was meant for another lifetime, unless there is an errno.
// With a null poller nobody but a close will end the wait. Nothing was looked at yet.
[[nodiscard]] int enlist(const call_target& target, descriptor_waiter& node,
                         core::poller* events) noexcept;

// As poll(2) that does not wait, with what was received ahead. Result or -errno.
[[nodiscard]] ssize_t poll_now(pollfd* descriptors, nfds_t count) noexcept;

// Before the descriptor's file is closed, or forgotten: the poller no longer holds it open, if it
// did, and nobody makes it do so again. May park.
void let_go(descriptor& which, int number) noexcept;

// What is received ahead is all in the queue, and no more comes there until somebody waits: for
// calls that must not wait for it. Not so on another kernel thread than that of a runtime whose
// threads share one. May park.
void stop_receiving(const call_target& target) noexcept;

// Only once in a function: errno's address must not be kept over a wait, as the thread may go on
// elsewhere.
[[gnu::noinline]] ssize_t fail(int error) noexcept;
[[gnu::noinline]] ssize_t errno_as_result() noexcept;  // -errno

// -errno instead of -1 and errno.
inline ssize_t as_result(ssize_t result) noexcept {
  return result >= 0 ? result : errno_as_result();
}

// Calls `attempt(target)`, which must not block and gives a result or -errno, until it gives
// something else than -EAGAIN or the limit is reached; then sets errno. After a time-out there is
// one last attempt: what came in time counts. Never EINTR.
template <class Attempt>
ssize_t call_when_ready(int number, std::uint32_t wanted, const base::wait_limit& limit,
                        Attempt&& attempt) noexcept {
  if (is_stopped(limit)) return fail(ECANCELED);
  call_target target;
  if (const int error = target.open(number)) return fail(error);
  int error = 0;
  for (bool forced = false;; forced = true) {
    // acquire: pairs with descriptor::change_state()
    const std::uint32_t seen = target.which->state.load(base::acquire);
    if (forced || descriptor::is_worth_a_try(seen, wanted)) {
      if (error == ETIMEDOUT && wanted == descriptor::readable &&
          target.which->receives_ahead.load(base::relaxed)) {  // relaxed: said before the call
        stop_receiving(target);
      }
      ssize_t result;
      do {
        result = attempt(target, seen);
      } while (result == -EINTR);
      if (result >= 0) return result;
      if (result != -EAGAIN) return fail(static_cast<int>(-result));
    }
    if (error == ETIMEDOUT) return fail(error);
    error = wait_for_event(target, seen, wanted, limit);
    if (error != 0 && error != ETIMEDOUT) return fail(error);
  }
}

}  // namespace treadle::io
