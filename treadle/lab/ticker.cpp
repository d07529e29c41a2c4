// The ticking thread and the calling one.
#include "treadle/lab/ticker.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/latch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// A stall is as long as the call, give or take the same.
constexpr double stall_tolerance = 1.25;

// Lets the ticker start and settle before the call: several ticks at least.
constexpr std::chrono::milliseconds head_start{2};

struct one_stall {
  double call = 0;
  double longest = 0;
};

one_stall once(const std::function<void()>& call, unsigned callers) {
  base::atomic<unsigned> running{callers};
  double longest = 0;
  double length = 0;
  latch ticking(1);
  thread ticker([&] {
    std::int64_t last = base::monotonic_now();
    ticking.count_down();
    // acquire: pairs with the release below, so that a call's end is seen with its length
    while (running.load(base::acquire) > 0) {
      this_thread::yield();
      const std::int64_t now = base::monotonic_now();
      longest = std::max(longest, static_cast<double>(now - last));
      last = now;
    }
  });
  ticking.wait();
  std::vector<double> lengths(callers);
  std::vector<thread> all;
  for (unsigned index = 0; index < callers; ++index) {
    all.emplace_back([&, index] {
      this_thread::sleep_for(head_start);
      const stopwatch watch;
      call();
      lengths[index] = watch.nanoseconds();
      running.fetch_sub(1, base::release);  // release: see the loop above
    });
  }
  for (thread& each : all) each.join();
  ticker.join();
  length = *std::max_element(lengths.begin(), lengths.end());
  return {length, longest};
}

}  // namespace

stall measure_stall(lab_context& lab, const std::function<void()>& prepare,
                    const std::function<void()>& call, unsigned callers,
                    const runtime_options* with, unsigned times) {
  const runtime_options usual{.model = lab.model(), .width = ticker_width(lab)};
  runtime own{with != nullptr ? *with : usual};
  std::vector<double> calls;
  std::vector<double> gaps;
  const unsigned as_usual = lab.quick() ? 3 : 5;
  const unsigned repetitions = times != 0 ? times : as_usual;
  for (unsigned turn = 0; turn < repetitions; ++turn) {
    if (prepare) prepare();
    const one_stall seen = own.run([&] { return once(call, callers); });
    calls.push_back(seen.call);
    gaps.push_back(seen.longest);
  }
  return {summarise(std::move(calls)), summarise(std::move(gaps))};
}

void report_gap(lab_context& lab, const subject& row, const prediction& expected, const stall& seen,
                std::string_view note) {
  const std::string length = human(seen.call.median, "ns");
  if (seen.call.median < call_shortest) {
    lab.report(not_run(row, fmt::format("the call took {} here, too short to tell a stall from the "
                                        "kernel's own time slices",
                                        length)));
    return;
  }
  lab.report_shared(
      judge(row, expected, seen.longest,
            fmt::format("the call took {}{}{}", length, note.empty() ? "" : "; ", note)));
}

std::optional<unsigned> ticker_width(lab_context& lab) {
  if (lab.model() != model::many_to_many) return std::nullopt;
  return std::max(2u, lab.width());
}

prediction stall_prediction(treadle::model of, const sample& call) {
  const std::string length = human(call.median, "ns");
  if (of == model::many_to_one) {
    return about(call.median, stall_tolerance, "the length of the call");
  }
  return at_most(
      0, 1,
      of == model::one_to_one ? "only the calling thread waits" : "only one kernel thread waits",
      free_part * call.median);
}

double call_length(const lab_context& lab) { return lab.quick() ? 50e6 : 100e6; }

void sleep_in_kernel(double nanoseconds) {
  timespec left{static_cast<time_t>(nanoseconds / 1e9),
                static_cast<long>(nanoseconds) % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
}

}  // namespace treadle::lab
