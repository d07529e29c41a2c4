// page-fault: M:1 serves page faults one by one, 1:1 as many at a time as the disk can.
#include <fmt/format.h>

#include <exception>
#include <thread>
#include <vector>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/cold_file.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/slow_pages.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/lab/ticker.hpp"
#include "treadle/latch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// Guess: several rounds of b faults, and more of both than any machine of today has processors to
// spare for the model.
constexpr unsigned faults = 24;
constexpr unsigned parallelism_of_disk = 4;
// The page-in time of a busy disk: guess; far above what the kernel's timers are off by.
constexpr double page_in = 5e6;
// The page-in time is a sleep of the kernel's, and the last round may wait for a CPU.
constexpr double tolerance = 1.3;
// A fault of a real disk varies that much from one to the next.
constexpr double disk_tolerance = 2;
// Guess: the fastest disks need some 10 us for a page; what is faster came out of memory.
constexpr double disk_shortest = 20e3;

// Nanoseconds from the moment that all threads may touch their page until all have.
template <class Pages>
double all_touched(const Pages& pages) {
  latch ready(faults);
  latch go(1);
  std::vector<thread> threads;
  threads.reserve(faults);
  for (unsigned index = 0; index < faults; ++index) {
    threads.emplace_back([&, index] {
      ready.count_down();
      go.wait();
      pages.touch(index);
    });
  }
  ready.wait();
  const stopwatch watch;
  go.count_down();
  for (thread& each : threads) each.join();
  return watch.nanoseconds();
}

// T_pf: the median of single faults, in a kernel thread outside of every runtime.
template <class Pages>
sample one_fault(Pages& pages) {
  std::vector<double> each;
  std::thread outside([&] {
    pages.forget();
    for (unsigned index = 0; index < faults; ++index) {
      const stopwatch watch;
      pages.touch(index);
      each.push_back(watch.nanoseconds());
    }
  });
  outside.join();
  return summarise(std::move(each));
}

template <class Pages>
sample time_of_all(lab_context& lab, Pages& pages) {
  runtime own{{.model = lab.model(), .width = ticker_width(lab)}};
  return repeat(lab.repetitions(), [&] {
    pages.forget();
    return own.run([&] { return all_touched(pages); });
  });
}

prediction expected(lab_context& lab, double each) {
  const double all = formula::page_faults(lab.model(), faults, each, parallelism_of_disk);
  const std::string with = named("T_pf", each, "ns");
  switch (lab.model()) {
    case model::many_to_one:
      return about(all, tolerance, "m T_pf with " + with);
    case model::one_to_one:
      return about(all, tolerance, "ceil(m / b) T_pf with " + with);
    case model::many_to_many:
      break;
  }
  return at_most(all, tolerance, "as 1:1, ceil(m / b) T_pf with " + with);
}

void served_faults(lab_context& lab) {
  slow_pages pages(faults, parallelism_of_disk, page_in);
  const sample each = one_fault(pages);
  lab.report_shared(
      judge(lab.of(fmt::format("{} page faults, {} served at a time", faults, parallelism_of_disk),
                   "ns", "faults", fmt::format("{}", lab.model_name())),
            expected(lab, each.median), time_of_all(lab, pages), "by userfaultfd"));
}

void stall_of_one(lab_context& lab) {
  slow_pages page(1, 1, call_length(lab));
  const stall seen = measure_stall(
      lab, [&] { page.forget(); }, [&] { page.touch(0); });
  lab.report_shared(judge(
      lab.of("longest gap beside a page fault", "ns", "gap", fmt::format("{}", lab.model_name())),
      stall_prediction(lab.model(), seen.call), seen.longest,
      fmt::format("the fault took {}", human(seen.call.median, "ns"))));
}

void faults_of_a_file(lab_context& lab) {
  cold_file pages(faults);
  const sample each = one_fault(pages);
  const subject row = lab.of(fmt::format("{} cold pages of a file", faults), "ns", "file",
                             fmt::format("{}", lab.model_name()));
  if (each.median < disk_shortest) {
    lab.report(not_run(row, fmt::format("a page of /var/tmp came in after {}: it was in memory",
                                        human(each.median, "ns"))));
    return;
  }
  const double all = faults * each.median;
  const std::string basis = fmt::format("m {}", named("T_pf", each.median, "ns"));
  lab.report_shared(judge(row,
                          lab.model() == model::many_to_one
                              ? about(all, disk_tolerance, basis)
                              : at_most(all, disk_tolerance, basis + ", or less"),
                          time_of_all(lab, pages), "T_pf is measured, b is the disk's"));
}

void run(lab_context& lab) {
  lab.attempt("page faults served in a chosen time", served_faults);
  lab.attempt("longest gap beside a page fault", stall_of_one);
  lab.attempt("cold pages of a file", faults_of_a_file);
}

}  // namespace

const experiment page_fault{
    .id = "page-fault",
    .title = "Page faults",
    .claim =
        "Of m page faults M:1 serves one at a time, m T_pf in all; 1:1 serves as many at a time as "
        "the disk can, and M:N that replaces blocked kernel threads comes close to it.",
    .method =
        "As many threads as faults each touch a page that is missing. userfaultfd makes each fault "
        "take 5 ms, four at a time; then the same with cold pages of a file, whose T_pf is "
        "measured. One more fault is made beside a thread that ticks.",
    .look =
        "The bar of M:1 is as long as all faults one after another, the others' a quarter of that.",
    .plots = {{.key = "faults", .title = "All faults served", .unit = "ns"},
              {.key = "gap", .title = "Longest gap of a ticking thread", .unit = "ns"},
              {.key = "file", .title = "Cold pages of a file", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
