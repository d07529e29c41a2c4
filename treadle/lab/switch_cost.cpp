// switch-cost: a user-level switch is far cheaper than a kernel switch.
#include <fmt/format.h>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/hand_off.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// How the text's "far cheaper" (c_u << c_k) is read: ten times.
constexpr double far_cheaper = 10;

sample yield_cost(lab_context& lab, unsigned width) {
  runtime own{{.model = lab.model(), .width = width}};
  return own.run([&] {
    return cost_each(lab.repetitions(), lab.span(), 1000, [](std::uint64_t switches) {
      base::atomic<bool> stop{false};
      thread other([&stop] {
        while (!stop.load(base::relaxed)) this_thread::yield();  // relaxed: only has to end once
      });
      this_thread::yield();
      const stopwatch watch;
      for (std::uint64_t turn = 0; turn < switches / 2; ++turn) this_thread::yield();
      const double took = watch.nanoseconds();
      stop.store(true, base::relaxed);  // relaxed: join orders the rest
      other.join();
      return took;
    });
  });
}

void user_rows(lab_context& lab, const sample& c_u, const sample& c_k) {
  const std::string basis =
      fmt::format("c_k / {:g} with {}", far_cheaper, named("c_k", c_k.median, "ns"));
  lab.report(judge(lab.of("switch, yield to yield: c_u", "ns", "cost", "m:1 yield"),
                   at_most(c_k.median / far_cheaper, 1, basis), c_u));
  const sample passed = ring_cost(lab, {.model = model::many_to_one});
  lab.report(judge(lab.of("hand-off through a semaphore", "ns", "cost", "m:1 semaphore"),
                   at_most(c_k.median / far_cheaper, 1, basis), passed));
  lab.report(judge(lab.of("c_k / c_u", "times"),
                   at_least(far_cheaper, 1, "the text's c_u << c_k, read as ten times"),
                   map(c_u, [&](double value) { return c_k.median / value; })));
}

void kernel_rows(lab_context& lab, const sample& c_u, const sample& c_k) {
  const std::string basis =
      fmt::format("{:g} c_u with {}", far_cheaper, named("c_u", c_u.median, "ns"));
  lab.report(judge(lab.of("hand-off through a futex, one CPU: c_k", "ns", "cost", "1:1 futex"),
                   at_least(far_cheaper * c_u.median, 1, basis), c_k));
  lab.report(judge(lab.of("switch by sched_yield, one CPU: s_k", "ns", "cost", "1:1 sched_yield"),
                   at_least(far_cheaper * c_u.median, 1, basis), kernel_yield(lab)));
  const sample passed = ring_cost(lab, {.model = model::one_to_one, .one_cpu = true});
  lab.report(judge(lab.of("hand-off through a semaphore, one CPU", "ns", "cost", "1:1 semaphore"),
                   about(c_k.median, 2, named("c_k", c_k.median, "ns")), passed));
}

void hybrid_rows(lab_context& lab, const sample& c_u, const sample& c_k) {
  lab.report_shared(
      judge(lab.of("switch, yield to yield, one kernel thread", "ns", "cost", "m:n yield"),
            at_most(c_u.median, 3,
                    "on one kernel thread it costs c_u; " + named("c_u", c_u.median, "ns")),
            yield_cost(lab, 1)));
  const unsigned width = lab.width();
  const sample passed = ring_cost(lab, {.model = model::many_to_many});
  const double both = c_u.median + c_k.median;
  lab.report_shared(
      judge(lab.of(fmt::format("hand-off through a semaphore, {} kernel threads", width), "ns",
                   "cost", "m:n semaphore"),
            at_most(both, 1, "the text's c_u + c_k"), passed,
            passed.median > both
                ? std::string()
                : fmt::format(
                      "the text's line is {:.3g} times this: the hand-over stays on one processor",
                      both / passed.median)));
}

void run(lab_context& lab) {
  const sample c_u = user_switch(lab);
  const sample c_k = kernel_switch(lab);
  switch (lab.model()) {
    case model::many_to_one:
      return user_rows(lab, c_u, c_k);
    case model::one_to_one:
      return kernel_rows(lab, c_u, c_k);
    case model::many_to_many:
      return hybrid_rows(lab, c_u, c_k);
  }
}

}  // namespace

const experiment switch_cost{
    .id = "switch-cost",
    .title = "What a switch costs",
    .claim =
        "A switch between user threads saves a few registers and is far cheaper than a switch "
        "made by the kernel: c_u << c_k.",
    .method =
        "Two threads yield to each other, again and again; eight threads in a ring wake the "
        "next one through a semaphore and wait. For the kernel the same is done with "
        "sched_yield and with a futex, all threads held on one CPU. The time is divided by "
        "the number of switches.",
    .look =
        "The axis is logarithmic: each grid line is ten times the one before. All M:1 and M:N "
        "bars should end well to the left of the 1:1 bars.",
    .plots = {{.key = "cost", .title = "One switch", .unit = "ns", .logarithmic = true}},
    .run = run};

}  // namespace treadle::lab
