// parallelism: M:1 uses 1/P of the machine, 1:1 q/(q + s_k) of it, M:N all of it.
#include <fmt/format.h>

#include <vector>

#include "treadle/lab/affinity.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// CPUs are shared with other programs, and two of them may share a core: a quarter less is still
// "all of the machine", a half less is not.
constexpr double tolerance = 1.3;

// N >= P: so many threads for each processor that their number does not decide the result.
constexpr unsigned threads_per_processor = 4;

double alone(std::uint64_t turns) {
  const stopwatch watch;
  spin(turns);
  return watch.nanoseconds();
}

double together(unsigned threads, std::uint64_t turns) {
  std::vector<thread> all;
  all.reserve(threads);
  const stopwatch watch;
  for (unsigned index = 0; index < threads; ++index) {
    all.emplace_back([=] { spin(turns / threads); });
  }
  for (thread& each : all) each.join();
  return watch.nanoseconds();
}

// The seeds' first program: threads that count until a common end; the sum of their counts.
double counted(unsigned threads, bool pin, double span) {
  struct alignas(128) counter {
    std::uint64_t value = 0;
  };
  std::vector<counter> counters(threads);
  const std::vector<int> cpus = allowed_cpus();
  std::vector<thread> all;
  const stopwatch watch;
  for (unsigned index = 0; index < threads; ++index) {
    all.emplace_back([&, index] {
      std::optional<pinned> hold;
      if (pin) hold.emplace(cpus[index % cpus.size()]);
      while (watch.nanoseconds() < span) ++counters[index].value;
    });
  }
  for (thread& each : all) each.join();
  double sum = 0;
  for (const counter& each : counters) sum += static_cast<double>(each.value);
  return sum;
}

std::string formula_words(lab_context& lab, double slice, double switched) {
  switch (lab.model()) {
    case model::many_to_one:
      return "1/P of the machine";
    case model::one_to_one:
      return fmt::format("P q / (q + s_k) with {} and {}", named("q", slice, "ns"),
                         named("s_k", switched, "ns"));
    case model::many_to_many:
      break;
  }
  return "all of the machine";
}

void run(lab_context& lab) {
  const unsigned cores = lab.processors();
  const subject speed = lab.of("speed-up of CPU-bound work", "times", "speed_up",
                               fmt::format("{}", lab.model_name()));
  const subject counters =
      lab.of("two counters against one", "times", "counters", fmt::format("{}", lab.model_name()));
  if (cores < 2) {
    lab.report(not_run(speed, "one processor: there is nothing to be parallel on"));
    lab.report(not_run(counters, "one processor: there is nothing to be parallel on"));
    return;
  }
  const double slice = time_slice(lab).median;
  const double switched = kernel_yield(lab).median;
  const std::string words = formula_words(lab, slice, switched);
  const double wanted = formula::speed_up(lab.model(), cores, slice, switched);
  const std::uint64_t turns = turns_lasting(lab, lab.quick() ? 80e6 : 400e6);
  const double span = lab.quick() ? 60e6 : 300e6;

  runtime own{{.model = lab.model()}};
  const sample sped = own.run([&] {
    return repeat(lab.repetitions(),
                  [&] { return alone(turns) / together(cores * threads_per_processor, turns); });
  });
  lab.report_shared(judge(speed, about(wanted, tolerance, words), sped,
                          fmt::format("P = {}, {} threads", cores, cores * threads_per_processor)));

  // Pinning moves a kernel thread, so only where a thread has one of its own.
  const bool pin = lab.model() == model::one_to_one;
  const sample summed = own.run([&] {
    return repeat(lab.repetitions(), [&] { return counted(2, pin, span) / counted(1, pin, span); });
  });
  const double both = formula::speed_up(lab.model(), 2, slice, switched);
  lab.report_shared(
      judge(counters, about(both, tolerance, words + ", with P = 2"), summed,
            pin ? "pinned to two CPUs" : "not pinned: the threads share kernel threads"));
}

}  // namespace

const experiment parallelism{
    .id = "parallelism",
    .title = "Using the cores",
    .claim =
        "On P cores M:1 can use 1/P of the machine, 1:1 all of it but the switches, "
        "q/(q + s_k), and M:N all of it.",
    .method =
        "The same work is done by one thread and by four threads for each processor; then "
        "one counter, and two at a time (held on two CPUs in 1:1), count for a fixed time.",
    .look =
        "M:1 stays at one however many cores there are. The others should come near the "
        "number of processors.",
    .plots = {{.key = "speed_up", .title = "Speed-up", .unit = "times"},
              {.key = "counters", .title = "Two counters against one", .unit = "times"}},
    .run = run};

}  // namespace treadle::lab
