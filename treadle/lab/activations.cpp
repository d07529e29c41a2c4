// activations: being told that a worker is blocked keeps the processors busy, at a price for each
// event, and can be late.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <numeric>
#include <optional>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/relief.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"

namespace treadle::lab {
namespace {

// Blocking events a second; the last leaves the kernel's timers (50 us late) just enough room.
constexpr std::array<double, 3> rates{100, 1'000, 4'000};
constexpr double call = 100e3;

// What an event costs beside the switch between user threads: guess, the standby, the spare worker
// and the way back are a kernel switch each, and one more for what they tell each other.
constexpr double kernel_switches = 4;

std::string rate_name(double rate) { return fmt::format("{:.0f}/s", rate); }

double share_waited(const relief_seen& seen) {
  return 100 * std::accumulate(seen.waits.begin(), seen.waits.end(), 0.0) / seen.wall;
}

void rows_at(lab_context& lab, double rate) {
  const double period = 1e9 / rate;
  const double span = lab.quick() ? 0.3 : 1.5;  // seconds; guess: 30 events at the lowest rate
  const auto events = static_cast<unsigned>(rate * span);
  // What timers are late by, and the call: what is left of the period.
  const double pause = std::max(10e3, period - call - 110e3);
  const relief_seen seen = measure_relief(lab, {.call = call, .pause = pause, .events = events});
  const double real_rate = 1e9 * events / seen.wall;
  const std::string label = rate_name(rate);
  const std::string real = fmt::format("{:.0f} events/s were reached{}{}", real_rate,
                                       seen.how.empty() ? "" : "; ", seen.how);

  lab.report_shared(judge(lab.of("told after, median, at " + label, "ns", "latency", label),
                          expected_relief(lab, call, relief_aim_median), summarise(seen.waits),
                          real));
  lab.report_shared(judge(lab.of("told after, 99th percentile, at " + label, "ns", "late", label),
                          expected_relief(lab, call, relief_aim_p99),
                          sample::once(quantile(seen.waits, 0.99))));
  const subject idle = lab.of("processor without work, at " + label, "%", "idle", label);
  const double waited = share_waited(seen);
  if (lab.model() == model::many_to_one) {
    lab.report_shared(judge(idle, at_least(100 * call / period, 1.25, "the calls' share of time"),
                            sample::once(waited)));
    return;
  }
  const double each = expected_relief(lab, call, relief_aim_median).value;
  lab.report_shared(judge(
      idle, at_most(100 * real_rate * each / 1e9, 3, fmt::format("rate x {}", human(each, "ns"))),
      sample::once(waited)));
  if (lab.model() != model::many_to_many) return;
  const double c_u = user_switch(lab).median;
  const double c_k = kernel_switch(lab).median;
  // The yielding thread is never without a processor but for the waits: the rest is the price.
  const double price = (seen.cpu - seen.wall) / events;
  lab.report_shared(
      judge(lab.of("CPU time for an event, at " + label, "ns", "price", label),
            at_most(c_u + kernel_switches * c_k, 2,
                    fmt::format("c_u + c_s, with an upcall of four kernel switches: {}, {}",
                                named("c_u", c_u, "ns"), named("c_k", c_k, "ns"))),
            sample::once(price), "below zero: other programs took the CPU"));
}

// What detection and preemption cost a thread that computes and is never blocked.
void tax_row(lab_context& lab) {
  const std::uint64_t turns = turns_lasting(lab, lab.quick() ? 20e6 : 50e6);
  // The fastest of many, in turns: other programs only ever make it slower.
  const auto fastest = [&](std::optional<runtime>& with, const runtime_options& options,
                           double& least) {
    if (!with) with.emplace(options);
    least = std::min(least, with->run([&] {
      const stopwatch watch;
      spin(turns);
      return watch.nanoseconds();
    }));
  };
  runtime_options bare{.model = lab.model(), .width = 1};
  bare.activation = activation::off;
  bare.slice = std::chrono::nanoseconds(0);
  double least_with = 1e300;
  double least_without = 1e300;
  for (unsigned turn = 0; turn < (lab.quick() ? 8U : 20U); ++turn) {
    // Each alone, so that the other's workers do not stand by.
    std::optional<runtime> one;
    fastest(one, {.model = lab.model(), .width = 1}, least_with);
    one.reset();
    fastest(one, bare, least_without);
  }
  // The slack is what two runs of the same differ by: guess.
  lab.report_shared(judge(lab.of("tax on a thread that computes", "%", "tax", "tax"),
                          at_most(0.5, 1, "the aim", 0.5),
                          sample::once(100 * (least_with / least_without - 1)),
                          "the fastest of several, with detection and preemption and without"));
}

void run(lab_context& lab) {
  for (const double rate : rates) {
    lab.progress(rate_name(rate));
    try {
      rows_at(lab, rate);
    } catch (const std::exception& error) {
      lab.report(not_run(lab.of("told after, at " + rate_name(rate), "ns"), error.what()));
    }
  }
  if (lab.model() == model::many_to_many) tax_row(lab);
}

}  // namespace

const experiment activations{
    .id = "activations",
    .title = "Being told of blocked threads",
    .claim =
        "A runtime that is told of each blocked thread keeps its processors busy, for c_u + c_s an "
        "event; under load it is told late.",
    .method =
        "On one processor a thread blocks in the kernel 100, 1,000 and 4,000 times a second while "
        "another yields in a loop and notes how long it was without a processor. CPU time of the "
        "process beyond that of the loop is the price of the events.",
    .look =
        "The latency of M:N should not grow with the rate, and stay far below the length of the "
        "calls, which is what M:1 waits.",
    .plots = {{.key = "latency",
               .title = "Told after (median)",
               .kind = plot_kind::lines,
               .unit = "ns",
               .logarithmic = true,
               .axis = "blocking events a second"},
              {.key = "late",
               .title = "Told after (99th percentile)",
               .kind = plot_kind::lines,
               .unit = "ns",
               .logarithmic = true,
               .axis = "blocking events a second"},
              {.key = "idle",
               .title = "Processor without work",
               .kind = plot_kind::lines,
               .unit = "%",
               .logarithmic = true,
               .axis = "blocking events a second"},
              {.key = "price", .title = "CPU time for an event", .unit = "ns"},
              {.key = "tax", .title = "Tax on a thread that computes", .unit = "%"}},
    .run = run};

}  // namespace treadle::lab
