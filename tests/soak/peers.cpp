// peers: an echo service among peers that behave, reset, half-close, dribble, flood or say nothing.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

namespace io = treadle::io;

enum count { whole, resets, half_closes, dribbles, floods, silent };

// The other side has ended the connection.
bool is_end(const std::system_error& error) {
  return error.code() == std::errc::connection_reset || error.code() == std::errc::broken_pipe ||
         error.code() == std::errc::not_connected;
}

// Without a descriptor to wait with, a service leaves its guest: not the guest's fault.
template <class F>
void do_or_excuse(F&& action) {
  const unsigned before = droughts.load();
  try {
    action();
  } catch (const std::system_error& error) {
    if (is_end(error) && (before % 2 == 1 || droughts.load() != before)) throw excuse();
    throw;
  }
}

// A connection's buffers else grow with what they are given, to 32 MiB each in Linux 6.18: how much
// goes through to who does not read is then anybody's guess.
void bound_buffers(const io::socket& connection) {
  constexpr int bytes = 65'536;
  ::setsockopt(connection.descriptor(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  ::setsockopt(connection.descriptor(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

class echo_service {
 public:
  echo_service() : door_(io::listener::open("127.0.0.1", 0)), port_(door_.port()) {
    serving_ = treadle::thread([this] { accept_all(); });
  }
  // All guests have gone then.
  ~echo_service() {
    stop_.request_stop();
    serving_.join();
  }
  std::uint16_t port() const { return port_; }

 private:
  void accept_all() {
    std::deque<treadle::thread> guests;
    for (;;) {
      try {
        guests.emplace_back(
            [guest = door_.accept(stop_.get_token())]() mutable { echo(std::move(guest)); });
      } catch (const std::system_error& error) {
        if (error.code() == std::errc::operation_canceled) break;
        if (!is_drought(error.code().value()) && error.code() != std::errc::connection_aborted) {
          violate(__FILE__, __LINE__, error.what(), error.code().value());
        }
        treadle::this_thread::sleep_for(microseconds(500));
      }
    }
    for (treadle::thread& one : guests) one.join();
  }

  // What comes goes back, until the peer ends it in whatever way.
  static void echo(io::socket guest) {
    bound_buffers(guest);
    std::array<std::byte, 4096> buffer;
    try {
      while (const std::size_t count = guest.read(buffer)) {
        guest.write_all({buffer.data(), count});
      }
      guest.shutdown_writing();
    } catch (const std::system_error& error) {
      // A reset, or nothing to wait with.
      if (!is_end(error) && !is_drought(error.code().value())) {
        violate(__FILE__, __LINE__, error.what(), error.code().value());
      }
    }
  }

  io::listener door_;
  const std::uint16_t port_;
  std::stop_source stop_;
  treadle::thread serving_;
};

std::span<const std::byte> bytes_of(const std::vector<char>& text, std::size_t from,
                                    std::size_t to) {
  return std::as_bytes(std::span(text)).subspan(from, to - from);
}

std::vector<char> make_text(unsigned seed, std::size_t bytes) {
  std::vector<char> text(bytes);
  for (std::size_t i = 0; i < bytes; ++i) text[i] = pattern(seed, i);
  return text;
}

// Reads `bytes` of the pattern from `from` on.
void expect(io::socket& peer, unsigned seed, std::size_t from, std::size_t bytes) {
  std::array<std::byte, 2048> buffer;
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t count =
        peer.read(std::span(buffer).first(std::min(buffer.size(), bytes - done)));
    if (count == 0) {
      throw std::system_error(std::make_error_code(std::errc::connection_reset),
                              "an echo ends early");
    }
    for (std::size_t i = 0; i < count; ++i) {
      SOAK_CHECK(static_cast<char>(buffer[i]) == pattern(seed, from + done + i),
                 "an echo is wrong at", from + done + i);
    }
    done += count;
  }
}

void expect_end(io::socket& peer) {
  std::byte one;
  SOAK_CHECK(peer.read({&one, 1}) == 0, "an echo is too long", 0);
}

void be_good(io::socket peer, unsigned seed) {
  const std::vector<char> text = make_text(seed, 1 + seed % 20'000);
  for (std::size_t done = 0; done < text.size();) {
    const std::size_t next = std::min(text.size(), done + 1 + (seed + done) % 3'000);
    peer.write_all(bytes_of(text, done, next));
    expect(peer, seed, done, next - done);
    done = next;
  }
}

// More than the buffers hold, read by one thread while another writes.
void half_close(io::socket peer, unsigned seed) {
  const std::vector<char> text = make_text(seed, 200'000 + seed % 300'000);
  crowd writer;
  writer.add([&] {
    do_or_excuse([&] {
      peer.write_all(bytes_of(text, 0, text.size()));
      peer.shutdown_writing();
    });
  });
  expect(peer, seed, 0, text.size());
  writer.join();
  expect_end(peer);
}

void dribble(io::socket peer, unsigned seed) {
  for (std::size_t i = 0; i < 40; ++i) {
    const auto one = static_cast<std::byte>(pattern(seed, i));
    peer.write_all({&one, 1});
    if (i % 8 == 0) treadle::this_thread::sleep_for(microseconds(100));
  }
  expect(peer, seed, 0, 40);
}

// Writes and never reads, until nothing goes through any more, which is long before the 13 MB that
// are tried; and leaves what came unread.
void flood(io::socket peer, unsigned seed) {
  const std::vector<char> text = make_text(seed, 65'536);
  try {
    for (int i = 0; i < 200; ++i) {
      peer.write_all(bytes_of(text, 0, text.size()), std::chrono::milliseconds(3));
    }
    violate(__FILE__, __LINE__, "a service without a reader took everything", 0);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::timed_out) throw;
  }
}

void reset(io::socket peer, unsigned seed) {
  const std::vector<char> text = make_text(seed, 1 + seed % 5'000);
  peer.write_all(bytes_of(text, 0, text.size()));
  if (seed % 2 == 0) expect(peer, seed, 0, std::min<std::size_t>(text.size(), 10));
  const linger at_once{1, 0};
  ::setsockopt(peer.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void visit(seat& mine, std::uint16_t port, unsigned kind, unsigned seed) {
  io::socket peer = io::socket::connect("127.0.0.1", port);
  bound_buffers(peer);
  switch (kind) {
    case resets:
      reset(std::move(peer), seed);
      break;
    case half_closes:
      half_close(std::move(peer), seed);
      break;
    case dribbles:
      dribble(std::move(peer), seed);
      break;
    case floods:
      flood(std::move(peer), seed);
      break;
    case silent:
      treadle::this_thread::sleep_for(microseconds(seed % 2'000));
      break;
    default:
      be_good(std::move(peer), seed);
  }
  mine.count(kind);
}

void turn(seat& mine) {
  mine.mark("opening the door");
  echo_service service;
  crowd guests;
  mine.mark("among the guests");
  const unsigned count = 3 + mine.draw(8);
  for (unsigned i = 0; i < count; ++i) {
    const unsigned kind = mine.draw(12);
    guests.add([&mine, &service, kind, seed = mine.draw(1U << 20)] {
      do_or_excuse([&] { visit(mine, service.port(), kind > silent ? 0U + whole : kind, seed); });
    });
  }
  guests.join();
  mine.mark("closing the door");
}

}  // namespace

const part peers{"peers",
                 needs::nothing,
                 2,
                 {"whole", "resets", "half-closes", "dribbles", "floods", "silent"},
                 turn};

}  // namespace soak
