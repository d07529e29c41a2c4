// million: a million user threads are practical.
#include <fmt/format.h>
#include <unistd.h>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/limits.hpp"
#include "treadle/lab/population.hpp"

namespace treadle::lab {
namespace {

constexpr std::uint64_t threads = 1'000'000;
constexpr std::size_t stack_bytes = std::size_t{64} << 10;

// The text's figures: what a goroutine takes at least, and what a POSIX thread reserves.
constexpr double text_lowest = 2'048;
constexpr double text_highest = 8.0 * 1024 * 1024;

// The runtime keeps a record of each thread beside its page, and a slot has a guard besides.
constexpr double bytes_tolerance = 1.1;

struct subjects {
  subject alive;
  subject bytes;
  subject text;
  subject time;
};

subjects rows_for(lab_context& lab) {
  const std::string title(lab.model_name());
  return {lab.of("threads alive at once", "threads", "alive", title),
          lab.of("memory of a parked thread", "B", "bytes", title),
          lab.of("the same against the text's figures", "B"),
          lab.of("create, park, wake and join all", "ns", "time", title)};
}

void run(lab_context& lab) {
  const subjects rows = rows_for(lab);
  const population_request request{
      .model = lab.model(), .threads = threads, .stack_bytes = stack_bytes};
  const double kernel_each = lab.model() == model::one_to_one ? kernel_bytes(lab).median : 0;
  const double kernel_create = create_cost(lab, model::one_to_one).median;
  const auto count = static_cast<double>(threads);
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));

  const prediction all = at_least(count, 1, "the claim's million");
  const prediction bytes = about(
      formula::parked_bytes(static_cast<double>(stack_bytes), page) + kernel_each, bytes_tolerance,
      kernel_each > 0 ? "one page, 8 B for each page of a 64 KiB stack, and k_b"
                      : "one page and 8 B for each page of a 64 KiB stack");
  const prediction text =
      between(text_lowest, text_highest, "the text's 2 KB or more in Go, 8 MB of a POSIX thread");
  const prediction time = at_most(count * kernel_create, 1,
                                  fmt::format("what as many kernel threads would need, at {} each",
                                              human(kernel_create, "ns")));

  std::optional<std::string> why;
  if (lab.model() == model::one_to_one) why = why_no_kernel_threads(threads);
  if (!why && lab.model() == model::one_to_one && lab.quick()) why = "left out by --quick";
  if (!why) why = why_no_memory(expected_bytes(request, kernel_each));
  population grown;
  if (!why) {
    grown = measure_population(lab, request);
    if (!grown.stopped.empty()) {
      why = fmt::format("stopped at {} threads: {}", human(static_cast<double>(grown.created), ""),
                        grown.stopped);
    }
  }
  if (why) {
    lab.report(not_run(rows.alive, all, *why));
    lab.report(not_run(rows.bytes, bytes, *why));
    lab.report(not_run(rows.text, text, *why));
    lab.report(not_run(rows.time, time, *why));
    return;
  }
  const memory_reading& memory = grown.grown;
  const double each = (memory.resident + memory.page_tables) / count + kernel_each;
  lab.report(judge(rows.alive, all, sample::once(static_cast<double>(grown.created))));
  lab.report(judge(rows.bytes, bytes, sample::once(each), "VmRSS and VmPTE together"));
  lab.report(judge(rows.text, text, sample::once(each)));
  lab.report(judge(
      rows.time, time, sample::once(grown.all_nanoseconds),
      fmt::format("the creation alone took {}, {} each", human(grown.create_nanoseconds, "ns"),
                  human(grown.create_nanoseconds / count, "ns"))));
}

}  // namespace

const experiment million{
    .id = "million",
    .title = "A million threads",
    .claim =
        "A million user threads are practical: about 2 KB or more each in Go, where a POSIX "
        "thread reserves 8 MB and a task structure in the kernel.",
    .method =
        "In a fresh process a million threads with 64 KiB stacks are created, all park, all "
        "are woken and joined. Memory is read while all are parked.",
    .look =
        "A parked user thread is one page of its stack and a little page table. The kernel "
        "threads are usually not even allowed: the reason is in the table.",
    .plots = {{.key = "bytes", .title = "Memory of one parked thread", .unit = "B"},
              {.key = "time", .title = "Create, park, wake and join a million", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
