// Connections under every model: io::socket, io::listener and the calls below them, with peers that
// behave and peers that do not.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <treadle/io.hpp>
#include <treadle/latch.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/receive_ahead.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::maybe_ahead;
using testing_support::scaled;

template <class Configuration>
class sockets : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(sockets, testing_support::every_model, testing_support::model_names);

// The code that `call` throws; 0 when it does not.
template <class Call>
int thrown_by(Call&& call) {
  try {
    call();
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

struct tcp_pair {
  tcp_pair() {
    io::listener door = io::listener::open("127.0.0.1", 0);
    client = maybe_ahead(io::socket::connect("127.0.0.1", door.port()));
    server = maybe_ahead(door.accept());
  }
  io::socket client;
  io::socket server;
};

// Sends back what comes, until the end.
void echo(io::socket peer) {
  std::string buffer(64, '\0');
  while (const std::size_t count = peer.read(bytes_of(buffer))) {
    peer.write_all(std::string_view(buffer).substr(0, count));
  }
}

TYPED_TEST(sockets, echo_over_64_connections) {
  this->in([] {
    io::listener door = io::listener::open("127.0.0.1", 0);
    constexpr int connections = 64;
    const std::size_t rounds = scaled(200, TestFixture::own_kernel_threads);
    thread server([&] {
      std::vector<thread> all;
      for (int i = 0; i < connections; ++i) {
        all.emplace_back([peer = maybe_ahead(door.accept())]() mutable { echo(std::move(peer)); });
      }
      for (thread& one : all) one.join();
    });
    std::vector<thread> clients;
    for (int i = 0; i < connections; ++i) {
      clients.emplace_back([&, i] {
        io::socket peer = maybe_ahead(io::socket::connect("127.0.0.1", door.port()));
        std::string sent(64, static_cast<char>('A' + i % 26));
        std::string got(64, '\0');
        for (std::size_t round = 0; round < rounds; ++round) {
          peer.write_all(sent);
          std::size_t filled = 0;
          while (filled < got.size()) filled += peer.read(bytes_of(got).subspan(filled));
          ASSERT_EQ(got, sent);
        }
      });
    }
    for (thread& one : clients) one.join();
    server.join();
  });
}

TYPED_TEST(sockets, half_a_close_leaves_the_other_half) {
  this->in([] {
    tcp_pair pair;
    std::string got(10, '\0');
    pair.client.write_all("question");
    pair.client.shutdown_writing();
    EXPECT_EQ(pair.server.read(bytes_of(got)), 8U);
    EXPECT_EQ(pair.server.read(bytes_of(got)), 0U);
    EXPECT_EQ(pair.server.read(bytes_of(got)), 0U);
    thread reader([&] { EXPECT_EQ(pair.client.read(bytes_of(got)), 6U); });
    this_thread::yield();
    pair.server.write_all("answer");
    reader.join();
    EXPECT_EQ(thrown_by([&] { pair.client.write_all("more"); }), EPIPE);
  });
}

TYPED_TEST(sockets, reset_ends_a_wait) {
  this->in([] {
    for (int round = 0; round < 20; ++round) {
      tcp_pair pair;
      thread reader([&] {
        std::string got(10, '\0');
        EXPECT_EQ(thrown_by([&] { pair.server.read(bytes_of(got)); }), ECONNRESET);
      });
      for (int i = 0; i < round; ++i) this_thread::yield();
      const linger at_once{1, 0};
      ::setsockopt(pair.client.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
      pair.client.close();
      reader.join();
    }
  });
}

TYPED_TEST(sockets, bytes_that_dribble_in_are_all_read) {
  this->in([] {
    tcp_pair pair;
    const std::string text(scaled(2000, TestFixture::own_kernel_threads), 'd');
    thread writer([&] {
      for (const char& one : text) {
        pair.client.write_all(std::string_view(&one, 1));
        if (&one - text.data() < 50) this_thread::yield();
      }
      pair.client.shutdown_writing();
    });
    std::string got;
    std::string buffer(37, '\0');
    while (const std::size_t count = pair.server.read(bytes_of(buffer))) {
      got += buffer.substr(0, count);
    }
    writer.join();
    EXPECT_EQ(got, text);
  });
}

// recv() stops before urgent data: a short read does not say that nothing is left.
TYPED_TEST(sockets, urgent_data_hides_nothing) {
  this->in([] {
    for (int round = 0; round < 50; ++round) {
      tcp_pair pair;
      thread writer([&] {
        pair.client.write_all("before");
        EXPECT_EQ(io::send(pair.client.descriptor(), "!", 1, MSG_OOB), 1);
        pair.client.write_all("after");
      });
      std::string got;
      std::string buffer(100, '\0');
      while (got.size() < 11) {
        const std::size_t count = pair.server.read(bytes_of(buffer));
        ASSERT_NE(count, 0U);
        got += buffer.substr(0, count);
      }
      EXPECT_EQ(got, "beforeafter");
      writer.join();
    }
  });
}

TYPED_TEST(sockets, flood_waits_for_a_reader_that_is_late) {
  this->in([] {
    tcp_pair pair;
    const std::string sent(8'000'000, 'f');
    thread writer([&] {
      pair.client.write_all(sent);
      pair.client.shutdown_writing();
    });
    for (int i = 0; i < 100; ++i) this_thread::yield();
    std::string buffer(100'000, '\0');
    std::size_t got = 0;
    while (const std::size_t count = pair.server.read(bytes_of(buffer))) got += count;
    writer.join();
    EXPECT_EQ(got, sent.size());
  });
}

TYPED_TEST(sockets, limits_end_accepts_connects_reads_and_writes) {
  this->in([] {
    io::listener door = io::listener::open("127.0.0.1", 0);
    EXPECT_EQ(thrown_by([&] { door.accept(1ms); }), ETIMEDOUT);
    EXPECT_EQ(thrown_by([&] { door.accept(0ms); }), ETIMEDOUT);
    std::stop_source source;
    thread stopper([&] { source.request_stop(); });
    EXPECT_EQ(thrown_by([&] { door.accept(source.get_token()); }), ECANCELED);
    stopper.join();
    tcp_pair pair;
    std::string got(1, '\0');
    EXPECT_EQ(thrown_by([&] { pair.server.read(bytes_of(got), 1ms); }), ETIMEDOUT);
    const std::string much(50'000'000, 'm');
    EXPECT_EQ(thrown_by([&] { pair.server.write_all(much, 5ms); }), ETIMEDOUT);
    // A port where nobody listens.
    const std::uint16_t port = door.port();
    door.close();
    EXPECT_EQ(thrown_by([&] { io::socket::connect("127.0.0.1", port); }), ECONNREFUSED);
    EXPECT_EQ(thrown_by([&] { io::socket::connect("127.0.0.1", port, source.get_token()); }),
              ECANCELED);
  });
}

TYPED_TEST(sockets, descriptors_that_run_out_are_an_error_and_nothing_is_lost) {
  this->in([] {
    io::listener door = io::listener::open("127.0.0.1", 0);
    std::string got(4, '\0');
    EXPECT_EQ(thrown_by([&] { door.accept(0ms); }), ETIMEDOUT);
    io::socket client = io::socket::connect("127.0.0.1", door.port());
    std::vector<int> taken;
    rlimit few{};
    ::getrlimit(RLIMIT_NOFILE, &few);
    const rlimit before = few;
    // Not a number below which some are free: the runtime's own descriptors come and go meanwhile.
    few.rlim_cur = 3;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int number; (number = ::dup(0)) >= 0;) taken.push_back(number);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(thrown_by([&] { door.accept(); }), EMFILE);
    for (const int number : taken) ::close(number);
    ::setrlimit(RLIMIT_NOFILE, &before);
    io::socket server = door.accept();
    client.write_all("safe");
    EXPECT_EQ(server.read(bytes_of(got)), 4U);
  });
}

TYPED_TEST(sockets, close_by_another_thread_ends_accept_read_and_write) {
  this->in([] {
    const std::string much(20'000'000, 'm');
    for (int round = 0; round < 30; ++round) {
      io::listener door = io::listener::open("127.0.0.1", 0);
      tcp_pair pair;
      thread accepting([&] { EXPECT_EQ(thrown_by([&] { door.accept(); }), EBADF); });
      thread reading([&] {
        std::string got(1, '\0');
        EXPECT_EQ(thrown_by([&] { pair.server.read(bytes_of(got)); }), EBADF);
      });
      thread writing([&] { EXPECT_EQ(thrown_by([&] { pair.server.write_all(much); }), EBADF); });
      for (int i = 0; i < 5 + round; ++i) this_thread::yield();
      // By number: the object belongs to the threads that wait.
      EXPECT_EQ(io::close(door.descriptor()), 0);
      EXPECT_EQ(io::close(pair.server.descriptor()), 0);
      accepting.join();
      reading.join();
      writing.join();
      // The numbers may be others' already: the objects must not close them again.
      io::socket gone(std::move(pair.server));
      static_cast<void>(gone.release());
      door.release();
    }
  });
}

TYPED_TEST(sockets, several_threads_accept_from_one_listener) {
  this->in([] {
    io::listener door = io::listener::open("127.0.0.1", 0);
    constexpr int threads = 8;
    const std::size_t connections = scaled(200, TestFixture::own_kernel_threads);
    std::atomic<std::size_t> accepted{0};
    std::stop_source source;
    std::vector<thread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        for (;;) {
          try {
            const io::socket peer = door.accept(source.get_token());
            if (++accepted == connections) source.request_stop();
          } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), ECANCELED);
            break;
          }
        }
      });
    }
    for (std::size_t i = 0; i < connections; ++i) {
      io::socket::connect("127.0.0.1", door.port());
    }
    for (thread& one : all) one.join();
    EXPECT_EQ(accepted.load(), connections);
  });
}

TYPED_TEST(sockets, local_socket_waits_for_a_listener_whose_queue_is_full) {
  this->in([] {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    // Abstract: no file to clean up.
    const int length = std::snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "treadle-%d-%p",
                                     ::getpid(), static_cast<void*>(&name));
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                              static_cast<std::size_t>(length));
    const auto* address = reinterpret_cast<const sockaddr*>(&name);
    io::socket door(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(door.descriptor(), address, bytes), 0);
    ASSERT_EQ(::listen(door.descriptor(), 1), 0);
    std::vector<thread> all;
    for (int i = 0; i < 10; ++i) {
      all.emplace_back([&] {
        io::socket peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(io::connect(peer.descriptor(), address, bytes), 0);
        std::string got(1, '\0');
        EXPECT_EQ(peer.read(bytes_of(got)), 0U);
      });
    }
    for (int i = 0; i < 10; ++i) {
      const int made = io::accept(door.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
      EXPECT_GE(made, 0);
      io::close(made);
    }
    for (thread& one : all) one.join();
  });
}

TYPED_TEST(sockets, names_and_bad_addresses) {
  this->in([] {
    EXPECT_EQ(thrown_by([] { io::listener::open("not an address", 0); }), EHOSTUNREACH);
    io::listener door = io::listener::open("127.0.0.1", 0);
    EXPECT_NE(door.port(), 0);
    EXPECT_EQ(thrown_by([&] { io::listener::open("127.0.0.1", door.port()); }), EADDRINUSE);
    io::socket none;
    std::string got(1, '\0');
    EXPECT_FALSE(none.is_open());
    EXPECT_EQ(thrown_by([&] { none.read(bytes_of(got)); }), EBADF);
  });
}

}  // namespace
}  // namespace treadle
