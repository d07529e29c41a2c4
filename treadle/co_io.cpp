#include <poll.h>

#include <cerrno>

#include "treadle/co.hpp"

namespace treadle::co {

task<ssize_t> connect(int socket, const sockaddr* address, socklen_t address_bytes,
                      wait_limit limit) {
  const wait_limit within = detail::with_own_stop(limit, co_await stop_token());
  if (core::current_thread().scheduler->events == nullptr) {
    co_return co_await run(
        [&] { return io::as_result(io::connect(socket, address, address_bytes, within)); });
  }
  if (within.stop().stop_requested()) co_return -ECANCELED;
  const wait_limit at_once{std::chrono::nanoseconds(0)};
  const ssize_t begun = io::as_result(io::connect(socket, address, address_bytes, at_once));
  if (begun != -ETIMEDOUT) co_return begun;
  const ssize_t events = co_await poll(socket, POLLOUT, within);
  if (events < 0) co_return events;
  if (events == 0) co_return -ETIMEDOUT;
  const ssize_t ended = io::as_result(io::connect(socket, address, address_bytes, at_once));
  co_return ended == -EISCONN ? 0 : ended;  // an end that nobody need ask for
}

task<ssize_t> poll(int descriptor, short events, wait_limit limit) {
  const std::uint32_t wanted =
      io::readiness_of(static_cast<std::uint32_t>(events)) | io::descriptor::unusual;
  const ssize_t result = co_await detail::call(
      descriptor, wanted, std::move(limit), [=](const wait_limit& within) -> ssize_t {
        const int found = io::poll(descriptor, events, within);
        // Nothing at the end of the limit: as the other calls say it.
        return found != 0 ? found : io::fail(ETIMEDOUT);
      });
  co_return result == -ETIMEDOUT ? 0 : result;
}

}  // namespace treadle::co
