// The connections of a load: made in crowds, each with an answer before the next crowd comes, so
// that no server's queue of connections overflows; then one loop that sends and takes answers.
//
// PROTOCOL is what is sent and what a whole answer is (load_protocols.hpp). One thread, which
// spins: no sleep of its own is in a latency. What a server does wrong ends the load by an
// exception.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "load_pace.hpp"

namespace treadle::bench {

inline std::int64_t monotonic_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// What a run has seen: a latency for each message that was due, answered or not.
struct load_result {
  std::vector<std::int64_t> latencies;  // nanoseconds
  std::size_t answered = 0;
};

template <class Protocol>
class load_connections {
 public:
  load_connections(int port, std::size_t connections) : events_(epoll_create1(EPOLL_CLOEXEC)) {
    if (events_ < 0) fail("epoll_create1");
    all_.reserve(connections);
    while (all_.size() < connections) {
      const std::size_t served = all_.size();
      const std::size_t crowd = std::min(connections, served + crowd_size);
      while (all_.size() < crowd) add(port);
      for (std::size_t i = served; i < crowd; ++i) send(i);
      take_rest([](std::size_t) {});
    }
  }

  std::size_t size() const { return all_.size(); }

  /// `rate` messages a second in all, for so long; then the answers under way are waited for.
  load_result run(std::int64_t rate, std::int64_t span) {
    load_result result;
    result.latencies.reserve(static_cast<std::size_t>(rate * span / second) + all_.size());
    const std::int64_t begin = monotonic_nanoseconds();
    const std::int64_t end = begin + span;
    load_pace pace(begin, end, rate, all_.size());
    const auto sends = [this](std::size_t which) { send(which); };
    const auto takes = [&](std::size_t which) {
      result.latencies.push_back(pace.answered(which, monotonic_nanoseconds(), sends));
    };
    for (std::int64_t now = begin; now < end; now = monotonic_nanoseconds()) {
      pace.send_due(now, sends);
      take(takes);
    }
    // Behind the end nothing is sent; what the server then does it does for answers that count.
    take_rest([&](std::size_t which) {
      result.latencies.push_back(pace.answered(which, monotonic_nanoseconds(), [](std::size_t) {}));
    });
    result.answered = result.latencies.size();
    pace.unanswered(monotonic_nanoseconds(),
                    [&](std::int64_t waited) { result.latencies.push_back(waited); });
    return result;
  }

 private:
  static constexpr std::int64_t second = 1'000'000'000;
  // Guess: few enough for any server's queue of connections.
  static constexpr std::size_t crowd_size = 256;
  // Guess: for ten thousand answers, or 256 kernel threads to be made, on a busy CPU.
  static constexpr std::int64_t patience = 10 * second;

  struct connection {
    int descriptor = -1;
    bool under_way = false;
    typename Protocol::answer answer{};  // of the message under way, as far as it has come
  };

  [[noreturn]] static void fail(const char* call) {
    throw std::system_error(errno, std::generic_category(), call);
  }

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

  void send(std::size_t which) {
    connection& one = all_[which];
    constexpr std::string_view message = Protocol::message();
    const ssize_t sent = ::send(one.descriptor, message.data(), message.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(message.size())) fail("send");
    one.under_way = true;
  }

  /// Until no answer is under way.
  template <class F>
  void take_rest(F answered) {
    const std::int64_t end = monotonic_nanoseconds() + patience;
    const auto waits = [](const connection& one) { return one.under_way; };
    for (auto first = all_.begin();; take(answered)) {
      first = std::find_if(first, all_.end(), waits);
      if (first == all_.end()) return;
      if (monotonic_nanoseconds() > end) {
        throw std::runtime_error(std::to_string(std::count_if(first, all_.end(), waits)) +
                                 " connections are not served");
      }
    }
  }

  /// Takes what is there; calls answered(connection) for each answer that has become whole.
  template <class F>
  void take(F answered) {
    std::array<epoll_event, 256> ready;
    const int count = epoll_wait(events_, ready.data(), static_cast<int>(ready.size()), 0);
    for (int i = 0; i < count; ++i) {
      const auto which = static_cast<std::size_t>(ready[static_cast<std::size_t>(i)].data.u64);
      connection& one = all_[which];
      std::array<char, 2048> bytes;
      const ssize_t got = recv(one.descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got == 0) throw std::runtime_error("the server closes a connection");
      if (got < 0) fail("recv");
      if (!one.under_way) throw std::runtime_error("the server sends what nobody asked for");
      if (!one.answer.put({bytes.data(), static_cast<std::size_t>(got)})) continue;
      one.answer = {};
      one.under_way = false;
      answered(which);
    }
  }

  int events_;
  std::vector<connection> all_;
};

}  // namespace treadle::bench
