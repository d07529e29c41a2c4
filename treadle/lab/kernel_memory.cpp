// kernel-memory: 1:1 exhausts a kernel budget, M:1 does not.
#include <fmt/format.h>

#include <algorithm>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/limits.hpp"
#include "treadle/lab/population.hpp"

namespace treadle::lab {
namespace {

// The text's scenario.
constexpr double mebibyte = 1024.0 * 1024;
constexpr double budget = 80 * mebibyte;
constexpr double process_base = 1 * mebibyte;
constexpr double text_bytes_each = 64.0 * 1024;
// "Tens or hundreds of kilobytes" a kernel thread.
constexpr double text_lowest = 10.0 * 1000;
constexpr double text_highest = 1000.0 * 1024;

// "Tens of thousands of user threads without placing additional burden on the kernel".
constexpr std::uint64_t user_threads = 20'000;
constexpr std::size_t stack_bytes = 64 * 1024;
// "Not additional burden" is read as at most this part of what 1:1 would take for as many threads.
constexpr double burden_read = 0.05;

// The count is made by watching /proc/meminfo, in which other processes show too.
constexpr double limit_tolerance = 1.15;

void limit_row(lab_context& lab, double k_b) {
  const double expected = formula::thread_limit(budget, process_base, k_b);
  const subject row = lab.of("threads until 80 MiB are used: N*", "threads", "limit", "1:1 N*");
  const prediction formula_says =
      about(expected, limit_tolerance,
            fmt::format("(B - K0) / k_b with the text's B = 80 MiB and K0 = 1 MiB and {}",
                        named("k_b", k_b, "B")));
  // Half as many again as predicted are made if need be, so that a wrong prediction shows.
  const auto wanted = static_cast<std::uint64_t>(expected * 1.5) + 100;
  const population_request request{.model = model::one_to_one,
                                   .threads = wanted,
                                   .stack_bytes = stack_bytes,
                                   .kernel_budget = budget - process_base};
  if (const auto why = why_no_kernel_threads(wanted)) {
    lab.report(not_run(row, formula_says, *why));
    return;
  }
  const sample counted = repeat(3, [&] {
    const population grown = measure_population(lab, request);
    if (!grown.stopped.empty() && grown.stopped != "budget") {
      throw std::runtime_error(
          fmt::format("stopped at {} threads: {}", grown.created, grown.stopped));
    }
    return static_cast<double>(grown.created);
  });
  lab.report(judge(row, formula_says, counted,
                   fmt::format("the text's own figure, with k_b = 64 KiB, is {:.0f}",
                               formula::thread_limit(budget, process_base, text_bytes_each))));
}

void kernel_rows(lab_context& lab) {
  const sample k_b = kernel_bytes(lab);
  prediction text = between(text_lowest, text_highest,
                            "the text's tens or hundreds of kilobytes; its example is 64 KiB");
  text.value = text_bytes_each;
  lab.report(judge(lab.of("kernel memory of one thread: k_b", "B", "each", "1:1 k_b"), text, k_b,
                   "kernel stack, task structures and page tables"));
  limit_row(lab, k_b.median);
}

void user_rows(lab_context& lab) {
  const double k_b = kernel_bytes(lab).median;
  const population_request request{
      .model = lab.model(), .threads = user_threads, .stack_bytes = stack_bytes};
  const std::string title(lab.model_name());
  const subject kernel_row = lab.of("kernel stacks and tasks, each of 20,000 threads", "B", "each",
                                    title + " stacks, tasks");
  const subject table_row =
      lab.of("page tables of their stacks, each", "B", "each", title + " page tables");
  if (const auto why = why_no_memory(expected_bytes(request, 0))) {
    lab.report(not_run(kernel_row, *why));
    lab.report(not_run(table_row, *why));
    return;
  }
  std::vector<double> kernel_side_each;
  std::vector<double> tables_each;
  for (unsigned turn = 0; turn < 3; ++turn) {
    const population grown = measure_population(lab, request);
    if (!grown.stopped.empty()) throw std::runtime_error(grown.stopped);
    const auto threads = static_cast<double>(grown.created);
    kernel_side_each.push_back((grown.grown.kernel_stacks + grown.grown.kernel_objects) / threads);
    tables_each.push_back(grown.grown.page_tables / threads);
  }
  const double workers = lab.model() == model::many_to_one ? 1 : lab.width();
  const prediction fixed = at_most(
      workers * k_b / static_cast<double>(user_threads) + burden_read * k_b, 1,
      fmt::format("{:g} k_b for all together, and \"no additional burden\" read as {:g} % of "
                  "k_b each",
                  workers, burden_read * 100));
  lab.report(judge(kernel_row, fixed, summarise(std::move(kernel_side_each))));
  lab.report(judge(table_row, fixed, summarise(std::move(tables_each)),
                   "the text leaves these out: 8 B for each 4 KiB of stack reserved"));
}

void run(lab_context& lab) {
  if (lab.model() == model::one_to_one) {
    kernel_rows(lab);
  } else {
    user_rows(lab);
  }
}

}  // namespace

const experiment kernel_memory{
    .id = "kernel-memory",
    .title = "Memory of the kernel",
    .claim =
        "1:1 takes k_b of kernel memory for every thread and exhausts a budget B at N* = (B - "
        "K0)/k_b threads; M:1 takes a fixed amount, whatever the number of threads.",
    .method =
        "Parked threads are counted in a fresh process while /proc shows how much kernel "
        "stacks, task structures and page tables grow. Then kernel threads are made until "
        "the text's budget of 80 MiB is used up.",
    .look =
        "One kernel thread costs tens of kilobytes of the kernel's memory; a user thread costs "
        "it nothing but the page tables of its stack.",
    .plots =
        {{.key = "each", .title = "Kernel memory of one thread", .unit = "B", .logarithmic = true},
         {.key = "limit", .title = "Threads within 80 MiB", .unit = "threads"}},
    .run = run};

}  // namespace treadle::lab
