// The peer "asio": C++20 coroutines over one io_context, which one kernel thread runs, as in Asio's
// example echo_server.cpp. It is there for the servers only: it has no threads, locks or channels.
// Boost 1.74 forgets to include what it needs of <utility>.
#include <utility>

#include <boost/asio.hpp>
#include <boost/version.hpp>

#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"
#include "program.hpp"

namespace treadle::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

template <class Session>
asio::awaitable<void> attend(tcp::socket peer) {
  Session session;
  peer.set_option(tcp::no_delay(true));
  try {
    while (!session.ends()) {
      const std::span<char> room = session.room();
      session.take(co_await peer.async_read_some(asio::buffer(room.data(), room.size()),
                                                 asio::use_awaitable));
      const std::string_view output = session.output();
      if (output.empty()) continue;
      co_await asio::async_write(peer, asio::buffer(output), asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The peer is gone.
  }
}

template <class Session>
asio::awaitable<void> accept_all(tcp::acceptor& door) {
  for (;;) {
    tcp::socket peer = co_await door.async_accept(asio::use_awaitable);
    asio::co_spawn(door.get_executor(), attend<Session>(std::move(peer)), asio::detached);
  }
}

template <class Session>
void serve() {
  asio::io_context loop(1);
  tcp::acceptor door(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  say_port(door.local_endpoint().port());
  asio::co_spawn(loop, accept_all<Session>(door), asio::detached);
  loop.run();
}

void measure(const order& asked) {
  if (asked.workload == "echo") serve<echo_session>();
  if (asked.workload == "http") serve<http_session>();
  throw no_such_workload{};
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "Boost.Asio " BOOST_LIB_VERSION,
                                     treadle::bench::measure);
}
