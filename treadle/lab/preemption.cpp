// preemption: a thread that computes without end stops those behind it, unless it is preempted.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/latch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// What a preemption may be late by: the monitor's period and the hand-over.
constexpr double late = 2e6;

// A hog ends by itself: M:1 would never end it. Long against slice and kernel slice.
double hog_length(const lab_context& lab) { return lab.quick() ? 100e6 : 300e6; }

// Computes, and looks at nothing but the clock.
void hog(double nanoseconds) {
  const std::int64_t end = base::monotonic_now() + static_cast<std::int64_t>(nanoseconds);
  while (base::monotonic_now() < end) {
  }
}

// The longest wait of a ready thread while `hogs` threads compute.
double longest_wait(double length, unsigned hogs) {
  base::atomic<unsigned> running{hogs};
  latch ready(1);
  double longest = 0;
  thread other([&] {
    std::int64_t last = base::monotonic_now();
    ready.count_down();
    while (running.load(base::acquire) > 0) {  // pairs with the hogs' ends
      this_thread::yield();
      const std::int64_t now = base::monotonic_now();
      longest = std::max(longest, static_cast<double>(now - last));
      last = now;
    }
  });
  ready.wait();
  std::vector<thread> threads;
  for (unsigned index = 0; index < hogs; ++index) {
    threads.emplace_back([&] {
      hog(length);
      running.fetch_sub(1, base::release);  // pairs with the loop above
    });
  }
  for (thread& each : threads) each.join();
  other.join();
  return longest;
}

prediction expected(lab_context& lab, unsigned hogs, double length, double slice) {
  switch (lab.model()) {
    case model::many_to_one:
      return between(length, 1.25 * hogs * length, "from one hog to all, one after another");
    case model::one_to_one: {
      const double q = time_slice(lab).median;
      return at_most(hogs * q, 2, fmt::format("the kernel's {}, for each hog", named("q", q, "ns")),
                     late);
    }
    case model::many_to_many:
      break;
  }
  return at_most(slice + late, 1, fmt::format("slice + 2 ms, slice = {}", human(slice, "ns")));
}

void rows_with(lab_context& lab, unsigned hogs, unsigned width, const std::string& where) {
  const double length = hog_length(lab);
  runtime_options wanted{.model = lab.model()};
  if (lab.model() == model::many_to_many) wanted.width = width;
  runtime own{wanted};
  const subject row = lab.of(
      fmt::format("longest wait beside {} endless loop{}{}", hogs, hogs == 1 ? "" : "s", where),
      "ns", "wait", fmt::format("{} {}", lab.model_name(), hogs));
  if (lab.model() == model::many_to_many && !own.activation().preempts) {
    const std::string_view reason = own.activation().why_not_preempting;
    lab.report(not_run(row, reason.empty() ? "TREADLE_SLICE switches preemption off" : reason));
    return;
  }
  const sample waited = own.run(
      [&] { return repeat(lab.repetitions(), [&] { return longest_wait(length, hogs); }); });
  const auto slice = static_cast<double>(resolve(wanted).slice.count());
  lab.report_shared(judge(row, expected(lab, hogs, length, slice), waited,
                          fmt::format("each loop lasts {}", human(length, "ns"))));
}

void run(lab_context& lab) {
  const auto attempt = [&](unsigned hogs, unsigned width, const std::string& where) {
    lab.progress(fmt::format("{} hogs", hogs));
    try {
      rows_with(lab, hogs, width, where);
    } catch (const std::exception& error) {
      lab.report(not_run(lab.of("longest wait beside endless loops", "ns"), error.what()));
    }
  };
  const unsigned width = lab.width();
  const bool many = lab.model() == model::many_to_many;
  attempt(1, 1, many ? ", one processor" : "");
  // Started together, so that nobody knows yet which of them stops.
  if (many) attempt(4, 1, ", one processor");
  attempt(2 * std::max(1U, width), width, "");
}

}  // namespace

const experiment preemption{
    .id = "preemption",
    .title = "Endless loops",
    .claim =
        "A thread that computes and never waits starves the others of its kernel thread; taking "
        "the processor from it at the end of a slice ends that.",
    .method =
        "A thread yields in a loop and notes its longest wait while one thread, then (M:N) four on "
        "one processor, then two for each processor, compute without a call to the runtime.",
    .look = "M:1 waits until the loops end. 1:1 waits for the kernel's slices, M:N for its own.",
    .plots = {{.key = "wait",
               .title = "Longest wait of a ready thread",
               .unit = "ns",
               .logarithmic = true}},
    .run = run};

}  // namespace treadle::lab
