// address-space: 1:1 reserves N * S, user stacks follow what is really used.
#include <fmt/format.h>

#include <array>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/limits.hpp"
#include "treadle/lab/population.hpp"

namespace treadle::lab {
namespace {

// The text's figures: a megabyte for each kernel thread, and 64 KiB as a typical stack.
constexpr std::size_t kernel_stack_bytes = std::size_t{1} << 20;
// Of it, left for what 1:1 adds for libc's own use: guess, above its 16 KiB.
constexpr std::size_t libc_share_bytes = std::size_t{32} << 10;
constexpr std::size_t user_stack_bytes = std::size_t{64} << 10;
// What each thread writes to before it parks: guess, a few calls deep with a buffer.
constexpr std::size_t touched_bytes = 8192;
constexpr std::array populations{std::uint64_t{10'000}, std::uint64_t{100'000}};
// s is measured on this many threads and then predicts the large numbers.
constexpr std::uint64_t few_threads = 1'000;

// Memory is counted in pages; runtimes round up and keep a few spare stacks.
constexpr double memory_tolerance = 1.25;
// Treadle's stack region doubles when it is full, so up to twice the need is reserved.
constexpr double region_tolerance = 2.2;

std::size_t stack_of(treadle::model of) {
  return of == model::one_to_one ? kernel_stack_bytes : user_stack_bytes;
}

std::size_t asked_of(treadle::model of) {
  return of == model::one_to_one ? kernel_stack_bytes - libc_share_bytes : user_stack_bytes;
}

struct subjects {
  subject reserved;
  subject resident;
  subject tables;
};

subjects rows_for(lab_context& lab, std::uint64_t threads) {
  const std::string count = human(static_cast<double>(threads), "");
  const std::string label = fmt::format("{} {}", lab.model_name(), count);
  return {lab.of("address space of " + count + " threads", "B", "reserved", label),
          lab.of("resident memory of " + count + " threads", "B", "resident", label),
          lab.of("page tables of " + count + " threads", "B", "tables", label)};
}

prediction reserved_prediction(treadle::model of, double threads) {
  const auto stack = static_cast<double>(stack_of(of));
  if (of == model::one_to_one) {
    return about(threads * stack, region_tolerance, "N S with the text's S = 1 MiB");
  }
  return about(threads * stack, region_tolerance,
               "N s with the text's s = 64 KiB, which every stack reserves here");
}

std::optional<std::string> why_not(lab_context& lab, const population_request& request) {
  if (request.model == model::one_to_one) {
    if (auto why = why_no_kernel_threads(request.threads)) return why;
    if (lab.quick() && request.threads > 20'000) return "left out by --quick";
  }
  const double k_b = request.model == model::one_to_one ? kernel_bytes(lab).median : 0;
  return why_no_memory(expected_bytes(request, k_b));
}

void population_rows(lab_context& lab, std::uint64_t threads, double used_each) {
  const subjects rows = rows_for(lab, threads);
  const population_request request{.model = lab.model(),
                                   .threads = threads,
                                   .stack_bytes = asked_of(lab.model()),
                                   .touched_bytes = touched_bytes};
  const auto count = static_cast<double>(threads);
  const prediction reserved = reserved_prediction(lab.model(), count);
  const prediction resident =
      about(count * used_each, memory_tolerance,
            fmt::format("N s with s = {}, measured on {} threads", human(used_each, "B"),
                        human(static_cast<double>(few_threads), "")));
  const prediction tables =
      about(formula::page_tables(count, static_cast<double>(stack_of(lab.model())), 4096),
            memory_tolerance, "8 B for each page reserved", static_cast<double>(1 << 20));
  std::optional<std::string> why = why_not(lab, request);
  population grown;
  if (!why) {
    lab.progress(human(count, "") + " threads");
    grown = measure_population(lab, request);
    if (!grown.stopped.empty()) {
      why = fmt::format("stopped at {} threads: {}", human(static_cast<double>(grown.created), ""),
                        grown.stopped);
    }
  }
  if (why) {
    lab.report(not_run(rows.reserved, reserved, *why));
    lab.report(not_run(rows.resident, resident, *why));
    lab.report(not_run(rows.tables, tables, *why));
    return;
  }
  lab.report(judge(rows.reserved, reserved, sample::once(grown.grown.address_space)));
  lab.report(judge(rows.resident, resident, sample::once(grown.grown.resident)));
  lab.report(judge(rows.tables, tables, sample::once(grown.grown.page_tables)));
}

void run(lab_context& lab) {
  const population few = measure_population(lab, {.model = lab.model(),
                                                  .threads = few_threads,
                                                  .stack_bytes = asked_of(lab.model()),
                                                  .touched_bytes = touched_bytes});
  if (!few.stopped.empty()) throw std::runtime_error(few.stopped);
  const double used_each = few.grown.resident / static_cast<double>(few.created);
  for (const std::uint64_t threads : populations) population_rows(lab, threads, used_each);
}

}  // namespace

const experiment address_space{
    .id = "address-space",
    .title = "Address space and memory",
    .claim =
        "Each kernel thread reserves a large stack S, N threads N times S; the stacks of user "
        "threads follow what is really used, s.",
    .method =
        "10,000 and 100,000 threads each write to 8 KiB of their stack and park. 1:1 is "
        "given stacks of 1 MiB and the user threads 64 KiB, the text's figures. VmSize, "
        "VmRSS and VmPTE are read from /proc in a fresh process.",
    .look =
        "Address space is only numbers: the kernel threads reserve sixteen times as much and "
        "all models have the same memory resident, because memory comes page by page when it "
        "is touched. What the reservation does cost is page tables.",
    .plots =
        {{.key = "reserved", .title = "Address space (VmSize)", .unit = "B", .logarithmic = true},
         {.key = "resident", .title = "Resident memory (VmRSS)", .unit = "B", .logarithmic = true},
         {.key = "tables", .title = "Page tables (VmPTE)", .unit = "B", .logarithmic = true}},
    .run = run};

}  // namespace treadle::lab
