// What the machine is: kernel, CPU, width; what its clock and its system calls cost.
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <sstream>

#include "treadle/base/clock.hpp"
#include "treadle/base/cpu_width.hpp"
#include "treadle/cli/doctor_finding.hpp"
#include "treadle/lab/file_text.hpp"
#include "treadle/lab/machine.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {
namespace {

// Guess: long against the clock's resolution, short against a time slice.
constexpr unsigned calls_a_batch = 20'000;
// Guess: one of so many batches is not interrupted.
constexpr unsigned batches = 5;
// Guess: reading a clock in user space takes 15 to 60 ns, a system call more than 100.
constexpr double clock_ns_good = 90;
// Guess: calls take 50 to 300 ns on hardware and in virtual machines, microseconds where another
// process looks at each.
constexpr double system_call_ns_good = 1000;

template <class Call>
double nanoseconds_each(Call call) {
  double least = std::numeric_limits<double>::infinity();
  for (unsigned batch = 0; batch < batches; ++batch) {
    const std::int64_t start = base::monotonic_now();
    for (unsigned i = 0; i < calls_a_batch; ++i) call();
    const auto span = static_cast<double>(base::monotonic_now() - start);
    least = std::min(least, span / calls_a_batch);
  }
  return least;
}

std::string first_line(const std::string& path) {
  std::string text = lab::file_text(path).value_or("");
  text.resize(std::min(text.find('\n'), text.size()));
  return text;
}

}  // namespace

finding find_settings() {
  finding made{.id = "settings", .group = "settings"};
  const runtime_settings chosen = resolve({});
  const std::string set = lab::settings_in_force();
  made.found = set.empty() ? "no TREADLE_* variable is set" : set;
  made.uses =
      fmt::format("{} for programs that do not say, {} KiB stacks, {} KiB guards",
                  to_string(chosen.model), chosen.stack_bytes / 1024, chosen.guard_bytes / 1024);
  made.facts = {{"model", to_string(chosen.model)},
                {"width", chosen.width},
                {"stack_bytes", chosen.stack_bytes},
                {"guard_bytes", chosen.guard_bytes}};
  return made;
}

finding find_kernel() {
  utsname names{};
  (void)::uname(&names);  // cannot fail: the argument is right
  finding made{.id = "kernel", .group = "machine"};
  made.found = fmt::format("{} {}, {}", names.sysname, names.release, names.machine);
  made.facts = {{"release", names.release}, {"machine", names.machine}};
  std::istringstream numbers(names.release);
  int major = 0;
  int minor = 0;
  char dot = 0;
  numbers >> major >> dot >> minor;
  made.uses = "every call that this kernel is found to have below";
  // Sourced: MADV_GUARD_INSTALL is the youngest call that Treadle gains from.
  if (major < 6 || (major == 6 && minor < 13)) {
    made.state = standing::reduced;
    made.advice = "Linux 6.13 or later guards stacks without a mapping for each";
  }
  return made;
}

finding find_cpu() {
  finding made{.id = "cpu", .group = "machine"};
  const std::string text = lab::file_text("/proc/cpuinfo").value_or("");
  made.found = "unknown";
  // Arm has no model name, only numbers of the maker.
  for (const char* key : {"model name", "Model", "CPU part"}) {
    const auto name = lab::field_text(text, key);
    if (!name || name->empty()) continue;
    made.found = *name;
    break;
  }
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  made.facts = {{"model", made.found}, {"online", online}};
  made.found += fmt::format(", {} CPU{} online", online, online == 1 ? "" : "s");
  made.uses = "the context switch for this kind of CPU";
  return made;
}

finding find_width() {
  finding made{.id = "width", .group = "machine"};
  const unsigned affinity = base::affinity_width();
  const unsigned width = base::usable_width();
  const auto online = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  const bool quota = width < affinity;
  made.found = fmt::format("affinity leaves {} of {} CPUs, {}", affinity, online,
                           quota ? fmt::format("the control group's cpu.max {} of them", width)
                                 : std::string("cpu.max limits nothing"));
  made.uses = fmt::format("{} processor{} for m:n, read when a runtime starts", width,
                          width == 1 ? "" : "s");
  made.facts = {{"online", online}, {"affinity", affinity}, {"width", width}};
  if (quota) {
    made.state = standing::reduced;
    made.advice = "a larger cpu.max in the control group (docker run --cpus) gives more processors";
  } else if (affinity < online) {
    made.state = standing::reduced;
    made.advice = "a wider affinity mask (taskset, cpuset) gives more processors";
  }
  return made;
}

finding find_clock() {
  finding made{.id = "clock", .group = "costs"};
  const double each = nanoseconds_each([] { static_cast<void>(base::monotonic_now()); });
  const std::string source =
      first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  made.found = fmt::format("clock_gettime() takes {:.0f} ns, clock source {}", each,
                           source.empty() ? "unknown" : source);
  made.uses = "CLOCK_MONOTONIC, once for each wait with a deadline";
  made.facts = {{"nanoseconds", each}, {"source", source}};
  if (each > clock_ns_good) {
    made.state = standing::reduced;
    made.advice =
        "a clock source that user space can read (tsc, kvm-clock) makes timed waits cheap";
  }
  return made;
}

finding find_system_call() {
  finding made{.id = "system-call", .group = "costs"};
  const double each = nanoseconds_each([] { static_cast<void>(::syscall(SYS_getppid)); });
  made.found = fmt::format("the cheapest system call takes {:.0f} ns", each);
  made.uses = "none for a switch between threads of m:1 and m:n";
  made.facts = {{"nanoseconds", each}};
  if (each > system_call_ns_good) {
    made.state = standing::reduced;
    made.advice =
        "something looks at every system call (a sandbox, a tracer): without it I/O is "
        "several times faster";
  }
  return made;
}

}  // namespace treadle::cli
