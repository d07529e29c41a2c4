// The peer of servers.py: hello over HTTP by Asio's callbacks, one kernel thread, no parsing.
//
// Whatever comes is taken for one request, and answered with the same bytes; a client that does not
// pipeline, as wrk, is content with it. The least that an event loop in C++ has to do: what a
// server with a parser and a thread for each connection is held against.
//
//   asio_hello         listens on any free port of 127.0.0.1 and prints it; ends by a signal
// Asio 1.74 forgets to include it.
#include <utility>

#include <boost/asio.hpp>

#include <array>
#include <cstdio>
#include <memory>
#include <string_view>

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// As many bytes as examples/http_server sends.
constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
    "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n\r\nHello, World!";

class session : public std::enable_shared_from_this<session> {
 public:
  explicit session(tcp::socket peer) : peer_(std::move(peer)) {
    peer_.set_option(tcp::no_delay(true));
  }

  void read() {
    peer_.async_read_some(
        asio::buffer(input_),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
          if (!error) self->write();
        });
  }

 private:
  void write() {
    asio::async_write(
        peer_, asio::buffer(answer),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
          if (!error) self->read();
        });
  }

  tcp::socket peer_;
  std::array<char, 1024> input_;
};

void accept_one(tcp::acceptor& door) {
  door.async_accept([&door](const boost::system::error_code& error, tcp::socket peer) {
    if (!error) std::make_shared<session>(std::move(peer))->read();
    accept_one(door);
  });
}

}  // namespace

int main() {
  asio::io_context loop(1);  // one kernel thread runs it
  tcp::acceptor door(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::printf("listening on 127.0.0.1:%d\n", static_cast<int>(door.local_endpoint().port()));
  std::fflush(stdout);
  accept_one(door);
  loop.run();
}
