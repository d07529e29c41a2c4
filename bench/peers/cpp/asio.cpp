// The peer "asio": C++20 coroutines over one io_context, which one kernel thread runs. It is there
// for the echo servers only: it has no threads, locks or channels. Boost 1.74 forgets to include
// what it needs of <utility>.
#include <utility>

#include <boost/asio.hpp>
#include <boost/version.hpp>

#include <array>

#include "listener.hpp"
#include "program.hpp"

namespace treadle::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

asio::awaitable<void> serve(tcp::socket peer) {
  std::array<char, echo_bytes> message;
  peer.set_option(tcp::no_delay(true));
  try {
    for (;;) {
      const std::size_t got =
          co_await peer.async_read_some(asio::buffer(message), asio::use_awaitable);
      co_await asio::async_write(peer, asio::buffer(message, got), asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The peer is gone.
  }
}

asio::awaitable<void> accept_all(tcp::acceptor& door) {
  for (;;) {
    tcp::socket peer = co_await door.async_accept(asio::use_awaitable);
    asio::co_spawn(door.get_executor(), serve(std::move(peer)), asio::detached);
  }
}

void measure(const order& asked) {
  if (asked.workload != "echo") throw no_such_workload{};
  asio::io_context loop(1);
  tcp::acceptor door(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  say_port(door.local_endpoint().port());
  asio::co_spawn(loop, accept_all(door), asio::detached);
  loop.run();
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "Boost.Asio " BOOST_LIB_VERSION,
                                     treadle::bench::measure);
}
