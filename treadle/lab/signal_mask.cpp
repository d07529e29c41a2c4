// signal-mask: threads have signal masks of their own; what do they add to a switch?
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stdexcept>
#include <vector>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/pthreads.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// The kernel's set of 64 signals.
using kernel_set = std::uint64_t;

// Past libc, which would keep two signals out of it.
void set_kernel_mask(const kernel_set& wanted, kernel_set& before) {
  (void)::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &wanted, &before, sizeof wanted);
}

// c_m: one call that sets the calling kernel thread's mask.
sample mask_call(lab_context& lab) {
  return lab.quantity("mask_call", [&lab] {
    return cost_each(lab.repetitions(), lab.span(), 1000, [](std::uint64_t calls) {
      kernel_set before = 0;
      kernel_set mask = 0;
      set_kernel_mask(0, before);
      mask = before;
      const stopwatch watch(time_kind::cpu);
      for (std::uint64_t call = 0; call < calls; ++call) set_kernel_mask(mask, before);
      return watch.nanoseconds();
    });
  });
}

// What a library does that does not know whose mask the kernel thread has: it keeps the old mask
// and sets the new one with each switch.
double naive_switches(std::uint64_t switches) {
  bool stop = false;  // one kernel thread, so a plain variable is enough
  const auto yield_naively = [](kernel_set& own) {
    kernel_set seen = 0;
    (void)::syscall(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &seen, sizeof seen);  // keep
    this_thread::yield();
    set_kernel_mask(own, seen);
  };
  kernel_set plain = 0;
  (void)::syscall(SYS_rt_sigprocmask, SIG_SETMASK, nullptr, &plain, sizeof plain);
  kernel_set other_mask = plain | (kernel_set{1} << (SIGUSR1 - 1));
  thread other([&] {
    while (!stop) yield_naively(other_mask);
  });
  yield_naively(plain);
  const stopwatch watch(time_kind::cpu);
  for (std::uint64_t turn = 0; turn < switches / 2; ++turn) yield_naively(plain);
  const double took = watch.nanoseconds();
  stop = true;
  other.join();
  kernel_set last = 0;
  set_kernel_mask(plain, last);
  return took;
}

void report_naive(lab_context& lab) {
  const sample c_m = mask_call(lab);
  const sample c_u = user_switch(lab);
  const prediction two_calls =
      about(c_u.median + 2 * c_m.median, 1.5,
            fmt::format("c_u + 2 c_m, {}, {}", named("c_u", c_u.median, "ns"),
                        named("c_m", c_m.median, "ns")));
  sample measured;
  runtime own{{.model = lab.model(), .width = 1}};
  own.run([&] { measured = cost_each(lab.repetitions(), lab.span(), 1000, naive_switches); });
  lab.report(judge(lab.of("a mask call before and after each switch", "ns", "switch",
                          std::string(lab.model_name()) + " naive"),
                   two_calls, measured));
}

// Of one CPU or one worker: where threads are kernel threads, switches are what the kernel counted.
sample switches_in(const lab_context& lab, const nlohmann::json& records, const char* name) {
  std::vector<double> costs;
  for (const nlohmann::json& record : records) {
    if (!record.contains(name)) continue;
    const nlohmann::json& one = record.at(name);
    const char* count = lab.model() == model::one_to_one ? "kernel_switches" : "yields";
    const double switches = one.at(count).get<double>();
    if (switches > 0) costs.push_back(one.at("ns").get<double>() / switches);
  }
  if (costs.empty()) throw std::runtime_error("the pthread program counted no switch");
  return summarise(std::move(costs));
}

void report_masks(lab_context& lab) {
  const nlohmann::json records =
      run_pthreads(lab, {.part = "masks", .number = lab.quick() ? 20 : 60});
  double wrong = -1;
  double looks = 0;
  for (const nlohmann::json& record : records) {
    if (!record.contains("wrong")) continue;
    wrong = record.at("wrong").get<double>();
    looks = record.at("looks").get<double>();
  }
  const std::string name(lab.model_name());
  lab.report(judge(lab.of("wrong masks seen by 16 threads", "masks"),
                   at_most(0, 1, "each thread has a mask of its own"), sample::once(wrong),
                   human(looks, "") + " looks"));
  const sample equal = switches_in(lab, records, "equal");
  const sample differ = switches_in(lab, records, "differ");
  const sample c_m = mask_call(lab);
  if (lab.model() == model::one_to_one) {
    const sample s_k = kernel_yield(lab);
    lab.report(judge(lab.of("switch, equal masks", "ns", "switch", name + " equal"),
                     about(s_k.median, 2, named("the kernel's switch s_k", s_k.median, "ns")),
                     equal));
    lab.report(judge(lab.of("switch, masks differ", "ns", "switch", name + " differ"),
                     at_most(equal.median, 1.25, "the kernel keeps a mask for each thread"),
                     differ));
    return;
  }
  const sample c_k = kernel_switch(lab);
  lab.report(judge(lab.of("switch, equal masks", "ns", "switch", name + " equal"),
                   at_most(c_k.median, 1, named("no mask call: far below c_k", c_k.median, "ns")),
                   equal));
  lab.report(judge(lab.of("switch, masks differ", "ns", "switch", name + " differ"),
                   at_most(equal.median + 2 * c_m.median, 1.1,
                           fmt::format("a switch with equal masks and 2 c_m, {}",
                                       named("c_m", c_m.median, "ns"))),
                   differ));
}

void run(lab_context& lab) {
  lab.attempt("switches of pthreads with masks", report_masks);
  if (lab.model() != model::one_to_one) {
    lab.attempt("a mask call before and after each switch", report_naive);
  }
}

}  // namespace

const experiment signal_mask{
    .id = "signal-mask",
    .title = "A signal mask for each thread",
    .claim =
        "The kernel keeps one mask for each kernel thread. In M:1 the library must emulate those "
        "of "
        "its threads, and saving and restoring the mask at each switch is a hidden cost: one or "
        "two "
        "system calls.",
    .method =
        "Sixteen pthreads with different masks look whether each sees its own. Two pthreads yield "
        "to each other on one worker (1:1: one CPU), with equal masks and with different ones. "
        "Beside it, two Treadle threads that call the kernel for their mask before and after each "
        "switch, as a naive library would.",
    .look =
        "What the naive way adds to a switch, and that masks which differ add nothing: treadle run "
        "keeps the masks of a program's threads itself, and the kernel is not asked.",
    .plots = {{.key = "switch", .title = "A switch", .unit = "ns", .logarithmic = true}},
    .run = run};

}  // namespace treadle::lab
