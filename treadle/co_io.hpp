// co_await on descriptors: the calls of <treadle/io.hpp> for tasks.
//
// Each does what its namesake does, but co_await gives -errno instead of -1 and errno, which is a
// thread's and not a task's: -ETIMEDOUT when the limit came first, -ECANCELED when a stop was asked
// for, through the limit or, if that has no token, through the task's own. Where a thread waits for
// a descriptor the task does, on the same poller; where there is none, each thread being a kernel
// thread, the call is made by a thread; so are calls on terminals, eventfds and their like.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <cstddef>

#include "treadle/co_results.hpp"
#include "treadle/co_time.hpp"
#include "treadle/io.hpp"
#include "treadle/io/reluctant_read.hpp"
#include "treadle/io/reluctant_write.hpp"
#include "treadle/task/io_wait.hpp"

namespace treadle::co {
namespace detail {

inline wait_limit with_own_stop(const wait_limit& given, std::stop_token own) {
  if (given.stop().stop_possible() || !own.stop_possible()) return given;
  if (given.until().is_never()) return wait_limit(std::move(own));
  const std::chrono::nanoseconds until(given.until().nanoseconds());
  return wait_limit(std::chrono::steady_clock::time_point(until), std::move(own));
}

// `attempt(limit)` is the call of a thread.
template <class Attempt>
task<ssize_t> call(int number, std::uint32_t wanted, wait_limit given, Attempt attempt) {
  const wait_limit within = with_own_stop(given, co_await stop_token());
  if (core::current_thread().scheduler->events == nullptr) {
    co_return co_await run([&] { return io::as_result(attempt(within)); });
  }
  int ended = within.stop().stop_requested() ? ECANCELED : 0;
  while (ended == 0 || ended == ETIMEDOUT) {
    io::call_target target;
    if (const int error = target.open(number)) co_return -error;
    if ((wanted == io::descriptor::writable && io::writes_reluctantly(*target.which)) ||
        (wanted == io::descriptor::readable && io::reads_reluctantly_now(target))) {
      co_return co_await run([&] { return io::as_result(attempt(within)); });
    }
    // acquire: pairs with descriptor::change_state()
    const std::uint32_t seen = target.which->state.load(base::acquire);
    const ssize_t result = io::as_result(attempt(wait_limit(std::chrono::nanoseconds(0))));
    // After the time-out one last attempt: what came in time counts.
    if (result != -ETIMEDOUT || ended != 0) co_return result;
    ended = co_await tasks::io_wait(target, seen, wanted, within);
  }
  co_return -ended;
}

}  // namespace detail

inline task<ssize_t> read(int descriptor, void* buffer, std::size_t bytes, wait_limit limit = {}) {
  return detail::call(
      descriptor, io::descriptor::readable, std::move(limit),
      [=](const wait_limit& within) { return io::read(descriptor, buffer, bytes, within); });
}
inline task<ssize_t> recv(int socket, void* buffer, std::size_t bytes, int flags,
                          wait_limit limit = {}) {
  return detail::call(
      socket, io::descriptor::readable, std::move(limit),
      [=](const wait_limit& within) { return io::recv(socket, buffer, bytes, flags, within); });
}
// All bytes; fewer after an error, a time-out or a stop in between.
inline task<ssize_t> write(int descriptor, const void* buffer, std::size_t bytes,
                           wait_limit limit = {}) {
  std::size_t done = 0;
  do {
    const auto* const rest = static_cast<const std::byte*>(buffer) + done;
    const ssize_t result = co_await detail::call(
        descriptor, io::descriptor::writable, limit, [=](const wait_limit& within) {
          return io::write(descriptor, rest, bytes - done, within);
        });
    if (result < 0) co_return done != 0 ? static_cast<ssize_t>(done) : result;
    done += static_cast<std::size_t>(result);
  } while (done < bytes);
  co_return static_cast<ssize_t>(done);
}
inline task<ssize_t> send(int socket, const void* buffer, std::size_t bytes, int flags,
                          wait_limit limit = {}) {
  std::size_t done = 0;
  do {
    const auto* const rest = static_cast<const std::byte*>(buffer) + done;
    const ssize_t result = co_await detail::call(
        socket, io::descriptor::writable, limit, [=](const wait_limit& within) {
          return io::send(socket, rest, bytes - done, flags, within);
        });
    if (result < 0) co_return done != 0 ? static_cast<ssize_t>(done) : result;
    done += static_cast<std::size_t>(result);
  } while (done < bytes);
  co_return static_cast<ssize_t>(done);
}
// The new descriptor.
inline task<ssize_t> accept(int listener, sockaddr* address = nullptr,
                            socklen_t* address_bytes = nullptr, int flags = 0,
                            wait_limit limit = {}) {
  return detail::call(listener, io::descriptor::readable, std::move(limit),
                      [=](const wait_limit& within) {
                        return io::accept(listener, address, address_bytes, flags, within);
                      });
}
// 0. A connect() that was given up goes on in the kernel: close the socket.
task<ssize_t> connect(int socket, const sockaddr* address, socklen_t address_bytes,
                      wait_limit limit = {});
// As io::poll() of one descriptor: its events; 0 at the limit's point.
task<ssize_t> poll(int descriptor, short events, wait_limit limit = {});

}  // namespace treadle::co
