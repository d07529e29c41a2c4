// servers: with many connections an event loop or M:N beats a kernel thread for each.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/echo_load.hpp"
#include "treadle/lab/echo_service.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/limits.hpp"
#include "treadle/lab/memory_reading.hpp"
#include "treadle/lab/stopwatch.hpp"

namespace treadle::lab {
namespace {

constexpr std::array<unsigned, 4> crowds{10, 64, 1'000, 10'000};
// Descriptors of a server besides its connections: guess.
constexpr double descriptors_spared = 100;
// How much of an event loop's throughput counts as its equal: guess, threads are worth a quarter.
constexpr double equal_factor = 1.25;

// What a request may take of the CPU beside an event loop: the aim, on so many connections.
constexpr double loop_factor_aim = 1.1;
constexpr unsigned loop_connections = 64;

// What an open connection may take: the aim.
constexpr double open_connection_aim = 6 * 1024;

struct outcome {
  double rate = 0;  // requests/s
  double p99 = 0;
  double cpu_each = 0;  // of the server, ns a request
};

// The server on the first CPU, its clients on the last.
template <class Serve>
outcome measure(lab_context& lab, unsigned connections, Serve make) {
  const std::vector<int> cpus = allowed_cpus();
  const pinned hold(cpus.front());
  auto server = make();
  const stopwatch used(time_kind::cpu);
  const load_result seen = run_load(lab, {.port = server->port(),
                                          .connections = connections,
                                          .seconds = lab.quick() ? 0.3 : 1.0,
                                          .cpu = cpus.back()});
  return {seen.requests / seen.seconds, seen.p99, used.nanoseconds() / seen.requests};
}

// Measured once a run, whatever the models.
outcome event_loop(lab_context& lab, unsigned connections) {
  std::optional<outcome> seen;
  const auto kept = [&](const char* what, double outcome::*field) {
    const auto read = [&] {
      if (!seen) {
        seen = measure(lab, connections, [] { return std::make_unique<event_loop_echo>(); });
      }
      return sample::once((*seen).*field);
    };
    return lab.quantity(fmt::format("event loop {}, {} connections", what, connections), read)
        .median;
  };
  return {kept("requests/s", &outcome::rate), kept("p99", &outcome::p99),
          kept("CPU", &outcome::cpu_each)};
}

std::optional<std::string> why_not(lab_context& lab, unsigned connections) {
  if (allowed_cpus().size() < 2) return "one CPU: server and clients need one each";
  rlimit files{};
  (void)::getrlimit(RLIMIT_NOFILE, &files);  // cannot fail: the argument is right
  if (static_cast<double>(files.rlim_cur) < connections + descriptors_spared) {
    return fmt::format("RLIMIT_NOFILE = {} is too low", files.rlim_cur);
  }
  if (lab.model() == model::one_to_one) return why_no_kernel_threads(connections);
  return std::nullopt;
}

void rows_with(lab_context& lab, unsigned connections) {
  const std::string label = fmt::format("{}", connections);
  const subject rate =
      lab.of(fmt::format("requests/s on {} connections", connections), "requests/s", "rate", label);
  if (const auto reason = why_not(lab, connections)) {
    lab.report(not_run(rate, *reason));
    return;
  }
  const outcome loop = event_loop(lab, connections);
  runtime_options wanted{.model = lab.model()};
  if (lab.model() == model::many_to_many) wanted.width = 1;
  const outcome seen =
      measure(lab, connections, [&] { return std::make_unique<threaded_echo>(wanted); });
  const std::string basis = fmt::format("an event loop: {}", human(loop.rate, "requests/s"));
  const bool kernel_threads = lab.model() == model::one_to_one;
  lab.report_shared(judge(rate,
                          kernel_threads ? at_most(loop.rate, equal_factor, basis)
                                         : at_least(loop.rate, equal_factor, basis),
                          sample::once(seen.rate),
                          fmt::format("{} of CPU a request with connecting, an event loop {}",
                                      human(seen.cpu_each, "ns"), human(loop.cpu_each, "ns"))));
  const std::string late = fmt::format("an event loop: {}", human(loop.p99, "ns"));
  const subject row =
      lab.of(fmt::format("99th percentile on {} connections", connections), "ns", "p99", label);
  // The factor is guessed: the tail of a second on a shared machine is noisy.
  lab.report_shared(judge(row,
                          kernel_threads ? at_least(loop.p99, 2, late) : at_most(loop.p99, 2, late),
                          sample::once(seen.p99)));
  if (connections != loop_connections || kernel_threads) return;
  lab.report_shared(
      judge(lab.of(fmt::format("CPU time for a request on {} connections", connections), "ns",
                   "cpu", fmt::format("{}", lab.model_name())),
            at_most(loop.cpu_each, loop_factor_aim,
                    fmt::format("an event loop: {}", human(loop.cpu_each, "ns"))),
            sample::once(seen.cpu_each)));
}

// Runs `work` and looks meanwhile, from a kernel thread outside, how much the process has at most.
template <class Work>
double most_bytes_beside(Work work) {
  // Guess: often enough to see all connections open for a moment, too rarely to be in the way.
  constexpr std::chrono::milliseconds interval{20};
  base::atomic<bool> over{false};
  double most = 0;
  std::thread looking([&] {
    while (!over.load(base::relaxed)) {  // relaxed: a flag, and joined
      const memory_reading now = read_memory();
      most = std::max(most, now.resident + now.page_tables);
      std::this_thread::sleep_for(interval);
    }
  });
  try {
    work();
  } catch (...) {
    over.store(true, base::relaxed);
    looking.join();
    throw;
  }
  over.store(true, base::relaxed);
  looking.join();
  return most;
}

// Everything included but the kernel's socket, which is the same for all.
void memory_row(lab_context& lab) {
  const unsigned connections = lab.quick() ? 1'000 : 10'000;
  const subject row = lab.of(fmt::format("memory of each of {} open connections", connections), "B",
                             "memory", fmt::format("{}", lab.model_name()));
  if (const auto reason = why_not(lab, connections)) {
    lab.report(not_run(row, *reason));
    return;
  }
  const memory_reading before = read_memory();
  runtime_options wanted{.model = lab.model()};
  if (lab.model() == model::many_to_many) wanted.width = 1;
  threaded_echo server(wanted);
  const double most = most_bytes_beside([&] {
    static_cast<void>(run_load(
        lab, {.port = server.port(), .connections = connections, .seconds = 0.3, .cpu = -1}));
  });
  const double each = (most - before.resident - before.page_tables) / connections;
  lab.report(judge(row, at_most(open_connection_aim, 1, "the aim, 6 KiB"), sample::once(each),
                   "resident memory and page tables"));
}

void run(lab_context& lab) {
  // A kernel thread's memory is another experiment's: kernel-memory.
  if (lab.model() != model::one_to_one) {
    lab.attempt("memory of an open connection", memory_row);
  }
  for (const unsigned connections : crowds) {
    // Ten thousand take longer to connect than a quick run should last.
    if (lab.quick() && connections > 1'000) continue;
    lab.progress(fmt::format("{} connections", connections));
    try {
      rows_with(lab, connections);
    } catch (const std::exception& error) {
      lab.report(
          not_run(lab.of(fmt::format("requests/s on {} connections", connections), "requests/s"),
                  error.what()));
    }
  }
}

}  // namespace

const experiment servers{
    .id = "servers",
    .title = "A thread for each connection",
    .claim =
        "With many connections an event loop, or user threads, serve more requests with shorter "
        "tails than a kernel thread for each connection.",
    .method =
        "64 bytes are sent back on 10, 64, 1,000 and 10,000 connections, by a thread for each and "
        "by an event loop, on one CPU. The clients run on another, with one request under way on "
        "each "
        "connection. All that are open take memory, which is read meanwhile.",
    .look =
        "M:1 and M:N should stay beside the event loop however many connections there are; 1:1 "
        "falls behind.",
    .plots = {{.key = "rate",
               .title = "Requests a second",
               .kind = plot_kind::lines,
               .unit = "requests/s",
               .axis = "connections"},
              {.key = "memory", .title = "Memory of an open connection", .unit = "B"},
              {.key = "cpu", .title = "CPU time for a request", .unit = "ns"},
              {.key = "p99",
               .title = "99th percentile",
               .kind = plot_kind::lines,
               .unit = "ns",
               .logarithmic = true,
               .axis = "connections"}},
    .run = run};

}  // namespace treadle::lab
