// priority-inversion: who waits for a lock that a lower thread holds waits for all between them.
#include <fmt/format.h>

#include <exception>
#include <optional>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/event.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/priority_inheritance_mutex.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

constexpr unsigned hogs = 2;
// Of the locked region and of the hogs' work: each ends with a yield. Guess: long against a switch.
constexpr double piece_length = 20e3;

// M:1 and M:N: of two levels the lower one has one turn of so many (docs/synchronization.md).
constexpr double turns_share = 16;
// 1:1, sourced: sched_prio_to_weight of Linux for the nice values -10, 0 and 5.
constexpr double weight_urgent = 9548;
constexpr double weight_normal = 1024;
constexpr double weight_low = 335;

struct contest {
  std::uint64_t piece_turns;  // of spin()
  unsigned pieces;            // of the locked region
  std::optional<int> cpu;     // all threads on that one
};

// In 1:1 long against the kernel's slices, which are some milliseconds.
double section_length(const lab_context& lab) {
  if (lab.model() == model::one_to_one) return lab.quick() ? 20e6 : 60e6;
  return lab.quick() ? 2e6 : 10e6;
}

thread on_cpu(const contest& in, priority level, bool& refused, auto work) {
  return thread([&refused, in, level, work] {
    std::optional<pinned> stay;
    if (in.cpu) stay.emplace(*in.cpu);
    if (!this_thread::set_priority(level)) refused = true;
    work();
  });
}

// How long the high one waits, in nanoseconds; nothing when the kernel refuses the priorities.
template <class Mutex>
std::optional<double> wait_of_the_high(const contest& in) {
  Mutex lock;
  manual_reset_event held;
  manual_reset_event begin;
  base::atomic<bool> over{false};
  double waited = 0;
  bool refused[2 + hogs] = {};
  thread low = on_cpu(in, priority::low, refused[0], [&] {
    lock.lock();
    held.set();
    begin.wait();
    for (unsigned i = 0; i < in.pieces; ++i) {
      spin(in.piece_turns);
      this_thread::yield();
    }
    lock.unlock();
  });
  held.wait();
  std::vector<thread> crowd;
  for (unsigned i = 0; i < hogs; ++i) {
    crowd.push_back(on_cpu(in, priority::normal, refused[2 + i], [&] {
      begin.wait();
      while (!over.load(base::relaxed)) {  // relaxed: only a sign to end
        spin(in.piece_turns);
        this_thread::yield();
      }
    }));
  }
  thread high = on_cpu(in, priority::urgent, refused[1], [&] {
    const std::int64_t from = base::monotonic_now();
    begin.set();
    lock.lock();
    waited = static_cast<double>(base::monotonic_now() - from);
    lock.unlock();
    over.store(true, base::relaxed);  // as above
  });
  high.join();
  low.join();
  for (thread& each : crowd) each.join();
  for (const bool one : refused) {
    if (one) return std::nullopt;
  }
  return waited;
}

prediction without_loan(const lab_context& lab, double section) {
  if (lab.model() == model::one_to_one) {
    const double all = weight_low + hogs * weight_normal;
    return about(section * all / weight_low, 2,
                 fmt::format("L (w_low + {} w_normal) / w_low, L = {}, the weights of nice 5 and 0",
                             hogs, human(section, "ns")));
  }
  return about(section * turns_share, 2,
               fmt::format("L times the share of a lower level, L = {}: one turn of {}",
                           human(section, "ns"), turns_share));
}

prediction with_loan(const lab_context& lab, double section) {
  if (lab.model() == model::one_to_one) {
    const double all = weight_urgent + hogs * weight_normal;
    return at_most(
        section * all / weight_urgent, 1.5,
        fmt::format("L (w_urgent + {} w_normal) / w_urgent, L = {}", hogs, human(section, "ns")),
        8e6);
  }
  return at_most(section * turns_share / (turns_share - 1), 1.5,
                 fmt::format("L and the share of the others, L = {}", human(section, "ns")), 1e6);
}

template <class Mutex>
void row_of(lab_context& lab, runtime& in, const std::string& name, const prediction& expected,
            const contest& rules) {
  lab.progress(name);
  const subject row = lab.of("wait of the highest thread, " + name, "ns", "wait",
                             fmt::format("{} {}", lab.model_name(), name));
  std::vector<double> values;
  for (unsigned turn = 0; turn < lab.repetitions(); ++turn) {
    const auto one = in.run([&] { return wait_of_the_high<Mutex>(rules); });
    if (!one) {
      lab.report(not_run(row, "the kernel refuses nice values below the program's (RLIMIT_NICE)"));
      return;
    }
    values.push_back(*one);
  }
  lab.report_shared(judge(row, expected, summarise(values)));
}

void run(lab_context& lab) {
  runtime_options wanted{.model = lab.model()};
  if (lab.model() == model::many_to_many) wanted.width = 1;
  runtime in{wanted};
  const double section = section_length(lab);
  contest rules{.piece_turns = turns_lasting(lab, piece_length),
                .pieces = static_cast<unsigned>(section / piece_length),
                .cpu = std::nullopt};
  if (lab.model() == model::one_to_one) rules.cpu = allowed_cpus().front();
  row_of<mutex>(lab, in, "mutex", without_loan(lab, section), rules);
  row_of<priority_inheritance_mutex>(lab, in, "priority_inheritance_mutex", with_loan(lab, section),
                                     rules);
}

}  // namespace

const experiment priority_inversion{
    .id = "priority-inversion",
    .title = "Priority inversion",
    .claim =
        "A thread of a high priority that waits for a lock which a low one holds waits for every "
        "thread between the two; a lock that lends its holder the waiter's priority makes it wait "
        "for the locked region only.",
    .method =
        "A low thread is inside a locked region of length L when two of normal priority begin to "
        "compute and a high one asks for the lock. All compute in pieces of 20 us and yield "
        "between "
        "them. 1:1 on one CPU, where priorities are nice values; M:N on one processor.",
    .look =
        "With a plain mutex the wait is the region stretched by what the crowd takes; that it ends "
        "at all is the share that each model leaves to lower threads. With the inheriting one it "
        "is "
        "the region itself.",
    .plots =
        {{.key = "wait", .title = "Wait of the highest thread", .unit = "ns", .logarithmic = true}},
    .run = run};

}  // namespace treadle::lab
