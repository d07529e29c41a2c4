// work-stealing: an idle processor takes half of another's queue, and the load balances.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// Fewer than a processor's ring holds (256), so that all of them start in one queue.
constexpr unsigned tasks = 200;

// CPUs are shared with other programs: a quarter more than the ideal passes.
constexpr double makespan_tolerance = 1.3;

struct task_record {
  double end = 0;   // since the start
  long worker = 0;  // the kernel thread that ran it
};

struct spread_run {
  double makespan = 0;
  double spread = 0;     // between the last ends of the first and the last worker to finish
  double elsewhere = 0;  // part of the tasks that other workers than the queueing one ran
  double steals = 0;
  double stolen = 0;
};

spread_run queue_all_on_one(runtime& own, std::uint64_t turns) {
  const runtime_counters before = own.counters();
  std::vector<task_record> records(tasks);
  double makespan = 0;
  long queueing = 0;
  own.run([&] {
    queueing = ::gettid();
    std::vector<thread> all;
    all.reserve(tasks);
    // M:1 does one task after another: the others' share of the CPU need not count.
    const stopwatch watch(own.model() == model::many_to_one ? time_kind::cpu : time_kind::wall);
    for (task_record& record : records) {
      all.emplace_back([&record, &watch, turns] {
        spin(turns);
        record = {watch.nanoseconds(), ::gettid()};
      });
    }
    for (thread& each : all) each.join();
    makespan = watch.nanoseconds();
  });
  std::map<long, double> last_end;
  unsigned elsewhere = 0;
  for (const task_record& record : records) {
    last_end[record.worker] = std::max(last_end[record.worker], record.end);
    if (record.worker != queueing) ++elsewhere;
  }
  const auto [first, last] = std::minmax_element(
      last_end.begin(), last_end.end(),
      [](const auto& one, const auto& other) { return one.second < other.second; });
  const runtime_counters after = own.counters();
  return {makespan, last->second - first->second, static_cast<double>(elsewhere) / tasks,
          static_cast<double>(after.steals - before.steals),
          static_cast<double>(after.stolen_threads - before.stolen_threads)};
}

template <class Field>
sample field_of(const std::vector<spread_run>& runs, Field spread_run::*field) {
  std::vector<double> values;
  for (const spread_run& each : runs) values.push_back(each.*field);
  return summarise(std::move(values));
}

void makespan_row(lab_context& lab, const std::vector<spread_run>& runs, double each,
                  unsigned cores) {
  const double create = bulk_create_cost(lab, lab.model()).median;
  const double expected = formula::makespan(lab.model(), tasks, each + create, cores);
  lab.report_shared(
      judge(lab.of("time for 200 tasks", "ns", "makespan", fmt::format("{}", lab.model_name())),
            about(expected, makespan_tolerance,
                  fmt::format("n (w + create){} with w = {} and {}",
                              lab.model() == model::many_to_one ? "" : " / P", human(each, "ns"),
                              named("create", create, "ns"))),
            field_of(runs, &spread_run::makespan)));
}

void stealing_rows(lab_context& lab, const std::vector<spread_run>& runs, double each,
                   unsigned cores) {
  const double ideal = formula::makespan(lab.model(), tasks, each, cores);
  lab.report_shared(judge(lab.of("between the first and the last processor to finish", "ns"),
                          at_most(0, 1, "imbalance goes to 0; a tenth of the whole is let pass",
                                  std::max(2 * each, ideal / 10)),
                          field_of(runs, &spread_run::spread)));
  const double share = 1.0 - 1.0 / cores;
  lab.report_shared(judge(lab.of("part of the tasks taken from the queue by others", ""),
                          about(share, 1.3, fmt::format("1 - 1/P with P = {}", cores)),
                          field_of(runs, &spread_run::elsewhere)));
  // Each visit halves a queue, so about log2(n) visits empty it; every processor may be visited.
  const double visits = cores * std::log2(static_cast<double>(tasks));
  lab.report_shared(judge(
      lab.of("visits of thieves", "steals"),
      at_most(visits, 2, fmt::format("P log2(n): every visit halves a queue of n = {}", tasks)),
      field_of(runs, &spread_run::steals),
      fmt::format("they took {:.0f} threads in all", field_of(runs, &spread_run::stolen).median)));
}

void run(lab_context& lab) {
  const unsigned cores = lab.processors();
  // Guess: long enough that the 1:1 model's creation of the threads is a small part of the whole.
  const double each = lab.quick() ? 500e3 : 1e6;
  if (lab.model() != model::many_to_one && cores < 2) {
    lab.report(not_run(lab.of("time for 200 tasks", "ns", "makespan"),
                       "one processor: there is nobody to steal"));
    return;
  }
  const std::uint64_t turns = turns_lasting(lab, each);
  runtime own{{.model = lab.model()}};
  std::vector<spread_run> runs;
  for (unsigned turn = 0; turn < lab.repetitions(); ++turn) {
    runs.push_back(queue_all_on_one(own, turns));
  }
  makespan_row(lab, runs, each, cores);
  if (lab.model() == model::many_to_many) stealing_rows(lab, runs, each, cores);
}

}  // namespace

const experiment work_stealing{
    .id = "work-stealing",
    .title = "Work stealing",
    .claim =
        "An idle processor takes half of another's queue: the load balances without a central "
        "queue.",
    .method =
        "One thread queues 200 equal tasks on its own processor and waits. Which kernel "
        "thread ran each task and when it ended is noted; the runtime counts the thieves' "
        "visits.",
    .look =
        "M:N finishes as early as 1:1, where the kernel balances, with a handful of visits. "
        "M:1 has one processor and takes P times as long.",
    .plots = {{.key = "makespan",
               .title = "Time for 200 tasks queued on one processor",
               .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
