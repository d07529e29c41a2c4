// async-await: a stackless task has no stack, only its frame; blocking code breaks it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/co.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/formulas.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/memory_reading.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/lab/ticker.hpp"

namespace treadle::lab {
namespace {

constexpr std::size_t stack_bytes = std::size_t{64} << 10;
// How the text's "bytes a task << bytes a thread" is read.
constexpr double far_less = 10;

task<> sleeps(base::atomic<std::size_t>& arrived, std::stop_token stop) {
  arrived.fetch_add(1, base::relaxed);  // relaxed: a count
  co_await co::sleep_for(std::chrono::hours(1), std::move(stop));
}

// Memory of one sleeping task, all of them alive.
double bytes_each(lab_context& lab, std::size_t tasks) {
  runtime own{{.model = lab.model(), .width = ticker_width(lab)}};
  return own.run([&] {
    std::stop_source over;
    base::atomic<std::size_t> arrived{0};
    std::vector<task_handle<>> handles;
    handles.reserve(tasks);
    const memory_reading before = read_memory();
    for (std::size_t i = 0; i < tasks; ++i) {
      handles.push_back(spawn(sleeps(arrived, over.get_token())));
    }
    while (arrived.load(base::relaxed) < tasks) this_thread::yield();  // relaxed: only the number
    const memory_reading grown = read_memory() - before;
    over.request_stop();
    for (auto& each : handles) each.join();
    return (grown.resident + grown.page_tables) / static_cast<double>(tasks);
  });
}

void bytes_row(lab_context& lab) {
  const std::size_t tasks = lab.quick() ? 100'000 : 1'000'000;
  const double page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  const double of_thread = formula::parked_bytes(static_cast<double>(stack_bytes), page);
  lab.report(judge(lab.of("memory of a sleeping task", "B", "bytes", std::string(lab.model_name())),
                   at_most(of_thread / far_less, 1,
                           fmt::format("a tenth of a parked thread's, {}", human(of_thread, "B"))),
                   sample::once(bytes_each(lab, tasks)),
                   "with the handle by which it is joined, and a stop token"));
}

task<> takes_turns(std::uint64_t turns) {
  for (std::uint64_t i = 0; i < turns; ++i) co_await co::yield();
}

void switch_row(lab_context& lab) {
  const sample c_u = user_switch(lab);
  runtime own{{.model = lab.model(), .width = 1}};
  const sample measured = own.run([&] {
    return cost_each(lab.repetitions(), lab.span(), 1000, [](std::uint64_t switches) {
      const stopwatch watch;
      block_on([](std::uint64_t turns) -> task<> {
        co_await co::when_all(takes_turns(turns), takes_turns(turns));
      }(switches / 2));
      return watch.nanoseconds();
    });
  });
  lab.report_shared(judge(
      lab.of("switch between tasks, yield to yield", "ns", "cost", std::string(lab.model_name())),
      at_most(c_u.median, 5, "no stack to change, but a queue; " + named("c_u", c_u.median, "ns")),
      measured));
}

struct shared_state {
  base::atomic<unsigned> running;
  double longest = 0;
  std::vector<double> lengths;
};

task<> ticks(shared_state& with) {
  std::int64_t last = base::monotonic_now();
  // acquire: pairs with the end of a call
  while (with.running.load(base::acquire) > 0) {
    co_await co::yield();
    const std::int64_t now = base::monotonic_now();
    with.longest = std::max(with.longest, static_cast<double>(now - last));
    last = now;
  }
}

task<> calls(lab_context& lab, shared_state& with, unsigned index, bool as_thread) {
  co_await co::sleep_for(std::chrono::milliseconds(2));  // several ticks at least
  const stopwatch watch;
  if (as_thread) {
    co_await co::run([&lab] { sleep_in_kernel(call_length(lab)); });
  } else {
    sleep_in_kernel(call_length(lab));
  }
  with.lengths[index] = watch.nanoseconds();
  with.running.fetch_sub(1, base::release);  // release: see ticks()
}

stall task_stall(lab_context& lab, unsigned callers, bool as_thread) {
  runtime own{{.model = lab.model(), .width = ticker_width(lab)}};
  std::vector<double> lengths;
  std::vector<double> gaps;
  for (unsigned turn = 0; turn < 3; ++turn) {
    own.run([&] {
      shared_state with{base::atomic<unsigned>{callers}, 0, std::vector<double>(callers)};
      std::vector<task_handle<>> all;
      all.push_back(spawn(ticks(with)));
      for (unsigned i = 0; i < callers; ++i) all.push_back(spawn(calls(lab, with, i, as_thread)));
      for (auto& each : all) each.join();
      lengths.push_back(*std::max_element(with.lengths.begin(), with.lengths.end()));
      gaps.push_back(with.longest);
    });
  }
  return {summarise(std::move(lengths)), summarise(std::move(gaps))};
}

void one_call_row(lab_context& lab) {
  const stall seen = task_stall(lab, 1, false);
  report_gap(lab,
             lab.of("longest gap beside a task in nanosleep", "ns", "gap",
                    fmt::format("{} one", lab.model_name())),
             stall_prediction(lab.model(), seen.call), seen);
}

// The carriers are as many as the CPUs: as many calls leave none, unless M:N is told of them.
void all_carriers_row(lab_context& lab) {
  const unsigned callers = lab.model() == model::many_to_many ? ticker_width(lab).value_or(1)
                                                              : thread::hardware_concurrency();
  const stall seen = task_stall(lab, callers, false);
  report_gap(lab,
             lab.of(fmt::format("longest gap beside {} tasks in nanosleep", callers), "ns", "gap",
                    fmt::format("{} all", lab.model_name())),
             at_most(seen.call.median * (lab.model() == model::many_to_one ? callers : 1), 1.25,
                     "K blocked of K carriers leave none"),
             seen);
}

void cure_row(lab_context& lab) {
  const stall seen = task_stall(lab, 1, true);
  report_gap(lab,
             lab.of("the same call by co::run, as a thread", "ns", "gap",
                    fmt::format("{} co::run", lab.model_name())),
             stall_prediction(lab.model(), seen.call), seen,
             "a thread's call stops what it stops in this model");
}

void run(lab_context& lab) {
  lab.attempt("memory of a sleeping task", bytes_row);
  lab.attempt("switch between tasks", switch_row);
  lab.attempt("longest gap beside a task in nanosleep", one_call_row);
  lab.attempt("longest gap beside a task on each carrier", all_carriers_row);
  lab.attempt("longest gap beside co::run", cure_row);
}

}  // namespace

const experiment async_await{
    .id = "async-await",
    .title = "Tasks without a stack",
    .claim =
        "A stackless task has no stack, only its frame, so it takes far fewer bytes than a thread; "
        "blocking code breaks it, for it stops the kernel thread that carries others.",
    .method =
        "A million tasks sleep (a hundred thousand with --quick), and the growth of the process "
        "is divided by their number. Two tasks yield to each other. A task ticks and notes its "
        "longest gap while others sleep in the kernel: one, then as many as there are carriers, "
        "then one through co::run, which makes the call as a thread.",
    .look =
        "A task is a tenth of a thread's page or less in every model. In M:1 any blocking call "
        "stops all tasks for its length; elsewhere only as many calls as carriers do, and M:N "
        "replaces even those.",
    .plots = {{.key = "bytes", .title = "Memory of one sleeping task", .unit = "B"},
              {.key = "cost", .title = "One switch between tasks", .unit = "ns"},
              {.key = "gap", .title = "Longest gap of a ticking task", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
