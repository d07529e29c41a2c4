#include "treadle/lab/relief.hpp"

#include <fmt/format.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/descriptor.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/lab/ticker.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// A read that blocks for so long once it is called, and does nothing else before: its timer is set
// ahead. A sleep would set the CPU's timer first, which on a virtual machine takes 6 us (a trace),
// a third of what is measured.
class timed_read {
 public:
  timed_read() : timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
    if (timer_.get() < 0) fail_with_errno("timerfd_create");
  }
  void set(double nanoseconds) const {
    itimerspec then{};
    const auto span = static_cast<std::int64_t>(nanoseconds) + set_ahead_nanoseconds;
    then.it_value.tv_sec = span / base::nanoseconds_per_second;
    then.it_value.tv_nsec = span % base::nanoseconds_per_second;
    if (::timerfd_settime(timer_.get(), 0, &then, nullptr) != 0) fail_with_errno("timerfd_settime");
  }
  void wait() const {
    std::uint64_t ends = 0;
    while (::read(timer_.get(), &ends, sizeof ends) < 0 && errno == EINTR) {
    }
  }

 private:
  // Guess: longer than from its setting to the read.
  static constexpr std::int64_t set_ahead_nanoseconds = 20'000;
  descriptor timer_;
};

struct meeting {
  base::atomic<std::int64_t> blocked_at{0};  // 0: nobody is, or it has been noticed
  base::atomic<bool> over{false};
};

void take_turns(meeting& place, std::vector<double>& waits) {
  while (!place.over.load(base::acquire)) {                           // pairs with block_often()
    const std::int64_t since = place.blocked_at.load(base::acquire);  // pairs with block_often()
    if (since != 0) {
      waits.push_back(static_cast<double>(base::monotonic_now() - since));
      place.blocked_at.store(0, base::release);  // pairs with block_often()
    }
    this_thread::yield();
  }
}

void block_often(meeting& place, const relief_plan& plan) {
  const std::chrono::nanoseconds pause(static_cast<std::int64_t>(plan.pause));
  const timed_read call;
  for (unsigned event = 0; event < plan.events; ++event) {
    this_thread::sleep_for(pause);
    call.set(plan.call);
    place.blocked_at.store(base::monotonic_now(), base::release);  // pairs with take_turns()
    call.wait();
    // acquire: pairs with take_turns()
    while (place.blocked_at.load(base::acquire) != 0) this_thread::yield();
  }
  place.over.store(true, base::release);  // pairs with take_turns()
}

relief_seen both(const relief_plan& plan, std::optional<int> cpu) {
  relief_seen seen;
  seen.waits.reserve(plan.events);
  meeting place;
  const stopwatch wall;
  const stopwatch used(time_kind::cpu);
  thread other([&] {
    std::optional<pinned> hold;
    if (cpu) hold.emplace(*cpu);
    take_turns(place, seen.waits);
  });
  thread blocking([&] {
    std::optional<pinned> hold;
    if (cpu) hold.emplace(*cpu);
    block_often(place, plan);
  });
  blocking.join();
  other.join();
  seen.wall = wall.nanoseconds();
  seen.cpu = used.nanoseconds();
  return seen;
}

}  // namespace

relief_seen measure_relief(lab_context& lab, const relief_plan& plan) {
  runtime_options wanted{.model = lab.model()};
  if (lab.model() == model::many_to_many) wanted.width = 1;
  // Only where a thread has a kernel thread of its own one CPU stands for one processor.
  std::optional<int> cpu;
  if (lab.model() == model::one_to_one) cpu = allowed_cpus().back();
  runtime own{wanted};
  relief_seen seen = own.run([&] { return both(plan, cpu); });
  seen.how = detection_words(own);
  return seen;
}

std::string detection_words(const runtime& of) {
  if (of.model() != model::many_to_many) return {};
  const core::activation_report& found = of.activation();
  const std::string_view reason = found.why_not_better;
  return fmt::format("found out by {}{}{}", to_string(found.level), reason.empty() ? "" : ": ",
                     reason);
}

double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(last * part + 0.999)];
}

prediction expected_relief(lab_context& lab, double call, double aim) {
  switch (lab.model()) {
    case model::many_to_one:
      return at_least(call, 1, "nobody runs before the call has ended");
    case model::one_to_one: {
      const double c_k = kernel_switch(lab).median;
      return at_most(c_k, 3, "the kernel switches by itself: " + named("c_k", c_k, "ns"), 2e3);
    }
    case model::many_to_many:
      break;
  }
  return at_most(aim, 1, fmt::format("the aim of block detection, {}", human(aim, "ns")));
}

}  // namespace treadle::lab
