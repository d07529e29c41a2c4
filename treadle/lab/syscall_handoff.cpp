// syscall-handoff: a processor leaves a kernel thread that is blocked in a call, and the thread
// finds one again afterwards.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/file_text.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/ready_waits.hpp"
#include "treadle/lab/relief.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/ticker.hpp"
#include "treadle/latch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// Long against every hand-off, short enough to have many.
constexpr double short_call = 1e6;
// Blocked at a time for each processor: guess, more than any spare that is made ahead.
constexpr unsigned blocked_per_processor = 4;
// Threads and calls of the storm: guess, enough for each thread to change its kernel thread often.
constexpr unsigned storm_threads = 16;

double kernel_threads_now() {
  const std::string status = file_text("/proc/self/status").value_or("");
  return static_cast<double>(field_number(status, "Threads").value_or(0));
}

void latency_rows(lab_context& lab) {
  const relief_seen seen = measure_relief(
      lab, {.call = short_call, .pause = short_call, .events = lab.quick() ? 100U : 500U});
  const auto row = [&](const char* name, double part) {
    return lab.of(fmt::format("blocked to the next thread's turn, {}", name), "ns", "wait",
                  fmt::format("{} {}", lab.model_name(), part > 0.9 ? "p99" : "median"));
  };
  sample median = summarise(seen.waits);
  lab.report_shared(judge(row("median", 0.5), expected_relief(lab, short_call, relief_aim_median),
                          median,
                          std::string("a read of a timerfd that nobody announced") +
                              (seen.how.empty() ? "" : "; " + seen.how)));
  lab.report_shared(judge(row("99th percentile", 0.99),
                          expected_relief(lab, short_call, relief_aim_p99),
                          sample::once(quantile(seen.waits, 0.99))));
}

// Many blocked at once: how long the others stand still, and what that takes in kernel threads.
void crowd_rows(lab_context& lab) {
  const unsigned callers = blocked_per_processor * std::max(2U, lab.width());
  const stall seen = measure_stall(
      lab, {}, [&] { sleep_in_kernel(call_length(lab)); }, callers);
  const bool alone = lab.model() == model::many_to_one;
  const double length = call_length(lab);
  lab.report_shared(judge(
      lab.of(fmt::format("longest gap beside {} blocked threads", callers), "ns", "gap",
             fmt::format("{}", lab.model_name())),
      alone ? between(length, 1.25 * callers * length, "from one call to all, one after another")
            : stall_prediction(lab.model(), sample::once(length)),
      seen.longest));

  runtime own{{.model = lab.model(), .width = ticker_width(lab)}};
  const sample made = own.run([&] {
    const double before = kernel_threads_now();
    double most = before;
    latch inside(callers);
    std::vector<thread> threads;
    for (unsigned index = 0; index < callers; ++index) {
      threads.emplace_back([&] {
        inside.count_down();
        sleep_in_kernel(length);
      });
    }
    // In M:1 this thread comes back when all calls are over, and so sees none.
    while (!inside.try_wait()) {
      most = std::max(most, kernel_threads_now());
      this_thread::yield();
    }
    most = std::max(most, kernel_threads_now());
    for (thread& each : threads) each.join();
    return sample::once(most - before);
  });
  const subject row = lab.of(fmt::format("kernel threads made for {} blocked ones", callers),
                             "threads", "threads", fmt::format("{}", lab.model_name()));
  if (alone) {
    lab.report(judge(row, at_most(0, 1, "there is the one"), made));
  } else {
    // Eight to spare: as many are made ahead where they go quickly (sched/crew.hpp).
    lab.report(judge(row, at_most(callers, 1, "one for each that is blocked", 8), made));
  }
}

void storm_row(lab_context& lab) {
  const unsigned calls = lab.quick() ? 50 : 200;
  const std::uint64_t turns = turns_lasting(lab, 20e3);
  runtime own{{.model = lab.model()}};
  const double back = own.run([&] {
    base::atomic<unsigned> done{0};
    std::vector<thread> threads;
    for (unsigned index = 0; index < storm_threads; ++index) {
      threads.emplace_back([&, index] {
        for (unsigned call = 0; call < calls; ++call) {
          sleep_in_kernel(20e3 * (1 + (call + index) % 8));
          spin(turns);
          done.fetch_add(1, base::relaxed);  // relaxed: a count, read after the joins
        }
      });
    }
    for (thread& each : threads) each.join();
    return static_cast<double>(done.load(base::relaxed));  // relaxed: as above
  });
  const double all = static_cast<double>(storm_threads) * calls;
  lab.report(
      judge(lab.of(fmt::format("calls of {} threads that came back", storm_threads), "calls"),
            about(all, 1, "no thread is lost"), sample::once(back)));
}

void run(lab_context& lab) {
  lab.attempt("blocked to the next thread's turn", latency_rows);
  ready_wait_rows(lab);
  lab.attempt("many blocked threads", crowd_rows);
  lab.attempt("calls that came back", storm_row);
}

}  // namespace

const experiment syscall_handoff{
    .id = "syscall-handoff",
    .title = "Leaving a blocked kernel thread",
    .claim =
        "When a thread blocks in a system call its processor goes on with other threads on another "
        "kernel thread; afterwards the thread finds a processor again, and none is lost.",
    .method =
        "On one processor, a thread that yields in a loop notes how long after another's blocking "
        "call it has its next turn. M:N is also asked for the longest wait in fifty calls of each "
        "kind. Then several threads for each processor block at once, and many threads make short "
        "blocking calls and compute in between.",
    .look =
        "M:1 waits for the whole call, in 1:1 the kernel switches, and M:N should be nearer to "
        "1:1 than to M:1 by orders of magnitude.",
    .plots = {{.key = "wait",
               .title = "From blocked to the next thread's turn",
               .unit = "ns",
               .logarithmic = true},
              {.key = "ready", .title = "Longest wait of a ready thread", .unit = "ns"},
              {.key = "gap", .title = "Longest gap of a ticking thread", .unit = "ns"},
              {.key = "threads", .title = "Kernel threads made", .unit = "threads"}},
    .run = run};

}  // namespace treadle::lab
