// The peers "asio-callbacks" and, with --bare, "asio-bare": handlers over one io_context, which one
// kernel thread runs, as in Asio's example async_tcp_echo_server.cpp. With --bare HTTP is not
// parsed. Boost 1.74 forgets to include what it needs of <utility>.
#include <utility>

#include <boost/asio.hpp>
#include <boost/version.hpp>

#include <memory>

#include "bare_session.hpp"
#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"
#include "program.hpp"

namespace treadle::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using error_code = boost::system::error_code;

template <class Session>
class guest : public std::enable_shared_from_this<guest<Session>> {
 public:
  explicit guest(tcp::socket peer) : peer_(std::move(peer)) {
    error_code gone;
    peer_.set_option(tcp::no_delay(true), gone);
  }

  void read() {
    const std::span<char> room = session_.room();
    peer_.async_read_some(
        asio::buffer(room.data(), room.size()),
        [self = this->shared_from_this()](const error_code& error, std::size_t count) {
          if (!error) self->took(count);
        });
  }

 private:
  void took(std::size_t count) {
    session_.take(count);
    const std::string_view output = session_.output();
    if (output.empty()) return read();
    asio::async_write(peer_, asio::buffer(output),
                      [self = this->shared_from_this()](const error_code& error, std::size_t) {
                        if (!error && !self->session_.ends()) self->read();
                      });
  }

  tcp::socket peer_;
  Session session_;
};

template <class Session>
void accept_one(tcp::acceptor& door) {
  door.async_accept([&door](const error_code& error, tcp::socket peer) {
    if (!error) std::make_shared<guest<Session>>(std::move(peer))->read();
    accept_one<Session>(door);
  });
}

template <class Session>
void serve() {
  asio::io_context loop(1);
  tcp::acceptor door(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  say_port(door.local_endpoint().port());
  accept_one<Session>(door);
  loop.run();
}

void measure(const order& asked) {
  if (asked.workload == "echo") serve<echo_session>();
  if (asked.workload == "http") serve<http_session>();
  throw no_such_workload{};
}

void measure_bare(const order& asked) {
  if (asked.workload == "http") serve<bare_session>();
  throw no_such_workload{};
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  using namespace treadle::bench;
  const char* const version = "Boost.Asio " BOOST_LIB_VERSION;
  const bool bare = argc > 1 && std::string_view(argv[1]) == "--bare";
  if (bare) return run_program(argc - 1, argv + 1, version, measure_bare);
  return run_program(argc, argv, version, measure);
}
