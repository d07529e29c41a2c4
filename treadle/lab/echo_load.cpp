#include "treadle/lab/echo_load.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
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
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "treadle/base/clock.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/echo_service.hpp"
#include "treadle/lab/probes.hpp"
#include "treadle/lab/relief.hpp"

namespace treadle::lab {
namespace {

// Guess: ten thousand kernel threads are made in a second or two.
constexpr std::int64_t patience = 20'000'000'000;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class clients {
 public:
  clients(std::uint16_t port, unsigned count) : events_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (events_ < 0) fail("epoll_create1");
    sent_at_.reserve(count);
    for (unsigned index = 0; index < count; ++index) add(port);
  }
  ~clients() {
    for (const int each : numbers_) ::close(each);
    ::close(events_);
  }
  clients(const clients&) = delete;
  clients& operator=(const clients&) = delete;

  // One request on each connection: the server has accepted all of them then.
  void warm_up() {
    for (std::size_t index = 0; index < numbers_.size(); ++index) send(index);
    std::size_t missing = numbers_.size();
    std::array<epoll_event, 256> ready;
    const std::int64_t end = base::monotonic_now() + patience;
    while (missing > 0) {
      if (base::monotonic_now() > end) {
        throw std::runtime_error(fmt::format("{} connections were not served", missing));
      }
      const int count = ::epoll_wait(events_, ready.data(), static_cast<int>(ready.size()), 10);
      for (int i = 0; i < count; ++i) {
        if (receive(static_cast<std::size_t>(ready[static_cast<std::size_t>(i)].data.u64))) {
          --missing;
        }
      }
    }
  }

  // Nanoseconds of every answer that came before `end`; each is followed by the next request.
  std::vector<double> run(std::int64_t end) {
    std::vector<double> answers;
    answers.reserve(std::size_t{1} << 20);
    for (std::size_t index = 0; index < numbers_.size(); ++index) send(index);
    std::array<epoll_event, 256> ready;
    for (std::int64_t now = base::monotonic_now(); now < end; now = base::monotonic_now()) {
      // Milliseconds: to see the end also when nobody answers.
      const int count = ::epoll_wait(events_, ready.data(), static_cast<int>(ready.size()), 10);
      for (int i = 0; i < count; ++i) {
        const auto index = static_cast<std::size_t>(ready[static_cast<std::size_t>(i)].data.u64);
        if (!receive(index)) continue;
        answers.push_back(static_cast<double>(base::monotonic_now() - sent_at_[index]));
        send(index);
      }
    }
    return answers;
  }

 private:
  void add(std::uint16_t port) {
    const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (number < 0) fail("socket");
    numbers_.push_back(number);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(number, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      fail("connect");
    }
    const int on = 1;
    ::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = numbers_.size() - 1;
    if (::epoll_ctl(events_, EPOLL_CTL_ADD, number, &wanted) != 0) fail("epoll_ctl");
    sent_at_.push_back(0);
    received_.push_back(0);
  }

  void send(std::size_t index) {
    static constexpr std::array<std::byte, echo_bytes> message{};
    sent_at_[index] = base::monotonic_now();
    if (::send(numbers_[index], message.data(), message.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(message.size())) {
      fail("send");
    }
  }

  // True when the answer is whole.
  bool receive(std::size_t index) {
    std::array<std::byte, echo_bytes> answer;
    const ssize_t count =
        ::recv(numbers_[index], answer.data(), answer.size() - received_[index], MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return false;
    if (count <= 0) fail("recv: the server closed a connection");
    received_[index] += static_cast<std::size_t>(count);
    if (received_[index] < answer.size()) return false;
    received_[index] = 0;
    return true;
  }

  int events_;
  std::vector<int> numbers_;
  std::vector<std::int64_t> sent_at_;
  std::vector<std::size_t> received_;
};

nlohmann::json serve_request(const nlohmann::json& request) {
  std::optional<pinned> hold;
  if (request.at("cpu").get<int>() >= 0) hold.emplace(request.at("cpu").get<int>());
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
  }
  clients all(request.at("port").get<std::uint16_t>(), request.at("connections").get<unsigned>());
  all.warm_up();
  const std::int64_t start = base::monotonic_now();
  const std::vector<double> answers =
      all.run(start + static_cast<std::int64_t>(request.at("seconds").get<double>() * 1e9));
  if (answers.empty()) throw std::runtime_error("no request was answered");
  return {{"requests", static_cast<double>(answers.size())},
          {"seconds", static_cast<double>(base::monotonic_now() - start) / 1e9},
          {"median", quantile(answers, 0.5)},
          {"p99", quantile(answers, 0.99)}};
}

}  // namespace

const probe echo_load_probe{.name = "echo-load", .run = serve_request};

load_result run_load(lab_context& lab, const load_order& order) {
  const nlohmann::json got = lab.run_probe("echo-load", {{"port", order.port},
                                                         {"connections", order.connections},
                                                         {"seconds", order.seconds},
                                                         {"cpu", order.cpu}});
  return {got.at("requests"), got.at("seconds"), got.at("median"), got.at("p99")};
}

}  // namespace treadle::lab
