// The load of the workloads with a network: CONNECTIONS connections, RATE messages a second in all,
// from a process and a CPU of its own.
//
//   PROGRAM PROTOCOL PORT CONNECTIONS RATE WARM_UP_MS MS
//
// Free of co-ordinated omission: each message has its time, fixed before the first is sent, and its
// answer's latency counts from then, also when the message had to wait for the answer before it on
// the same connection. What is not answered at the end counts with the time that it has waited.
// When each connection has had an answer, and the same load has run for WARM_UP_MS, it prints
// "ready", waits for a line, runs, prints a line of JSON, and keeps its connections until its input
// ends. "operations" are the answers.
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "load_connections.hpp"
#include "load_protocols.hpp"

namespace treadle::bench {
namespace {

constexpr std::int64_t millisecond = 1'000'000;

struct wish {
  int port;
  std::size_t connections;
  std::int64_t rate;
  std::int64_t warm_up_milliseconds;
  std::int64_t milliseconds;
};

void allow_many_descriptors() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

void print(load_result& result, double seconds) {
  std::vector<std::int64_t>& latencies = result.latencies;
  if (result.answered == 0) throw std::runtime_error("no message was answered");
  std::sort(latencies.begin(), latencies.end());
  const auto part = [&](double which) {
    const double at = which * static_cast<double>(latencies.size() - 1);
    return static_cast<double>(latencies[static_cast<std::size_t>(at)]) * 1e-9;
  };
  std::printf(
      "{\"operations\": %zu, \"unanswered\": %zu, \"wall_s\": %.9f, \"p50_s\": %.9f, "
      "\"p99_s\": %.9f, \"p999_s\": %.9f}\n",
      result.answered, latencies.size() - result.answered, seconds, part(0.5), part(0.99),
      part(0.999));
  std::fflush(stdout);
}

template <class Protocol>
int run(const wish& asked) {
  load_connections<Protocol> all(asked.port, asked.connections);
  if (asked.warm_up_milliseconds != 0) {
    all.run(asked.rate, asked.warm_up_milliseconds * millisecond);
  }
  std::puts("ready");
  std::fflush(stdout);
  if (std::getchar() == EOF) return 1;
  const std::int64_t begin = monotonic_nanoseconds();
  load_result result = all.run(asked.rate, asked.milliseconds * millisecond);
  print(result, static_cast<double>(monotonic_nanoseconds() - begin) * 1e-9);
  while (std::getchar() != EOF) {
  }
  return 0;
}

int run(char** words) {
  const wish asked = {std::atoi(words[2]), static_cast<std::size_t>(std::atol(words[3])),
                      std::atol(words[4]), std::atol(words[5]), std::atol(words[6])};
  if (asked.connections == 0 || asked.rate <= 0) {
    throw std::runtime_error("CONNECTIONS and RATE are at least 1");
  }
  allow_many_descriptors();
  if (std::string_view(words[1]) == "echo") return run<echo_protocol>(asked);
  if (std::string_view(words[1]) == "http") return run<http_protocol>(asked);
  throw std::runtime_error(std::string("PROTOCOL is '") + words[1] + "'; allowed: echo, http");
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "%s PROTOCOL PORT CONNECTIONS RATE WARM_UP_MS MS\n", argv[0]);
    return 2;
  }
  try {
    return treadle::bench::run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
