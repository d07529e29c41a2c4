// The load of the echo workloads: CONNECTIONS connections, RATE messages of 64 bytes a second in
// all, for MILLISECONDS. From a process and a CPU of its own.
//
//   PROGRAM PORT CONNECTIONS RATE MILLISECONDS
//
// Free of co-ordinated omission: each message has its time, fixed before the first is sent, and its
// answer's latency counts from then, also when the message had to wait for the answer before it on
// the same connection. What is not answered at the end counts with the time that it has waited.
// It prints "ready" when each connection has had an answer, waits for a line, runs, prints a line
// of JSON, and keeps its connections until its input ends. It spins, so that no sleep of its own is
// in a latency.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "../../measure.hpp"

namespace treadle::bench {
namespace {

constexpr std::size_t message_bytes = 64;
constexpr double patience_seconds = 10;  // guess: for a thousand kernel threads to be made

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), call);
}

double now() { return read_clock(CLOCK_MONOTONIC); }

struct connection {
  int descriptor = -1;
  std::size_t received = 0;  // of the answer under way
  double due = 0;            // when the message under way, or the next one, is to be sent
  bool under_way = false;
};

class load {
 public:
  load(int port, long connections) : events_(epoll_create1(EPOLL_CLOEXEC)) {
    if (events_ < 0) fail("epoll_create1");
    for (long made = 0; made < connections; ++made) add(port);
  }

  /// A message on each connection.
  void warm_up() {
    for (connection& one : all_) send(one);
    std::size_t missing = all_.size();
    for (const double end = now() + patience_seconds; missing != 0;) {
      if (now() > end) throw std::runtime_error(std::to_string(missing) + " are not served");
      wait([&missing](connection&) { --missing; });
    }
  }

  /// The latencies of all messages that were due.
  std::vector<double> run(double rate, double seconds) {
    std::vector<double> latencies;
    latencies.reserve(static_cast<std::size_t>(rate * seconds) + all_.size());
    const double each = static_cast<double>(all_.size()) / rate;
    const double begin = now();
    const double end = begin + seconds;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      all_[i].due = begin + static_cast<double>(i) / rate;
    }
    std::size_t next = 0;  // whose message is due next, when none is late
    double next_due = begin;
    while (now() < end) {
      for (const double at = now(); next_due <= at; next_due += 1 / rate) {
        connection& one = all_[next];
        if (!one.under_way && one.due <= at) send(one);
        next = (next + 1) % all_.size();
      }
      wait([&](connection& one) {
        const double at = now();
        latencies.push_back(at - one.due);
        one.due += each;
        if (one.due <= at) send(one);  // its time has come meanwhile
      });
    }
    for (const connection& one : all_) {
      if (one.due < end) latencies.push_back(now() - one.due);
    }
    return latencies;
  }

 private:
  void add(int port) {
    const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) fail("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
    const int on = 1;
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = all_.size();
    if (epoll_ctl(events_, EPOLL_CTL_ADD, made, &wanted) != 0) fail("epoll_ctl");
    all_.push_back({.descriptor = made});
  }

  void send(connection& one) {
    static constexpr std::array<char, message_bytes> message{};
    const ssize_t sent = ::send(one.descriptor, message.data(), message_bytes, MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(message_bytes)) fail("send");
    one.under_way = true;
  }

  /// Takes what is there; calls answered() for each answer that has become whole.
  template <class F>
  void wait(F answered) {
    std::array<epoll_event, 256> ready;
    const int count = epoll_wait(events_, ready.data(), static_cast<int>(ready.size()), 0);
    for (int i = 0; i < count; ++i) {
      connection& one = all_[ready[static_cast<std::size_t>(i)].data.u64];
      std::array<char, message_bytes> answer;
      const ssize_t got =
          recv(one.descriptor, answer.data(), message_bytes - one.received, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) fail("recv: the server closes a connection");
      one.received += static_cast<std::size_t>(got);
      if (one.received < message_bytes) continue;
      one.received = 0;
      one.under_way = false;
      answered(one);
    }
  }

  int events_;
  std::vector<connection> all_;
};

void allow_many_descriptors() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int run(char** words) {
  allow_many_descriptors();
  load made(std::atoi(words[1]), std::atol(words[2]));
  made.warm_up();
  std::puts("ready");
  std::fflush(stdout);
  if (std::getchar() == EOF) return 1;
  const stopwatch watch;
  std::vector<double> latencies = made.run(std::atof(words[3]), std::atof(words[4]) * 1e-3);
  const repetition result = watch.stop(static_cast<double>(latencies.size()));
  if (latencies.empty()) throw std::runtime_error("no message was due");
  std::sort(latencies.begin(), latencies.end());
  const auto part = [&](double which) {
    return latencies[static_cast<std::size_t>(which * static_cast<double>(latencies.size() - 1))];
  };
  std::printf(
      "{\"operations\": %.0f, \"wall_s\": %.9f, \"p50_s\": %.9f, \"p99_s\": %.9f, "
      "\"p999_s\": %.9f}\n",
      result.operations, result.wall_seconds, part(0.5), part(0.99), part(0.999));
  std::fflush(stdout);
  // The connections stay until the server's CPU time was read: that of kernel threads that have
  // ended is not told any more.
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "%s PORT CONNECTIONS RATE MILLISECONDS\n", argv[0]);
    return 2;
  }
  try {
    return treadle::bench::run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
