// /proc/stat against our own CPU time.
#include "treadle/lab/interference.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include "treadle/base/clock.hpp"
#include "treadle/lab/affinity.hpp"
#include "treadle/lab/file_text.hpp"

namespace treadle::lab {
namespace {

// Guess: a tenth less of the CPUs is well inside of every tolerance.
constexpr double share_allowed = 0.1;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double cpu_seconds(int who) {
  rusage use{};
  (void)::getrusage(who, &use);  // cannot fail: the argument is right
  return seconds_of(use.ru_utime) + seconds_of(use.ru_stime);
}

// Seconds that our CPUs were not idle: user, nice, system and stolen. Interrupts are left out, as
// many of them are our own doing. Source: proc(5), /proc/stat.
double busy_seconds() {
  const std::vector<int> cpus = allowed_cpus();
  const std::set<int> ours(cpus.begin(), cpus.end());
  std::istringstream lines(file_text("/proc/stat").value_or(""));
  double ticks = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (!name.starts_with("cpu") || name.size() == 3 || !ours.contains(std::stoi(name.substr(3)))) {
      continue;
    }
    double user = 0, nice = 0, system = 0, idle = 0, disk = 0, hard = 0, soft = 0, stolen = 0;
    words >> user >> nice >> system >> idle >> disk >> hard >> soft >> stolen;
    ticks += user + nice + system + stolen;
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

interference::account interference::read() {
  return {busy_seconds(), cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN),
          static_cast<double>(base::monotonic_now()) * 1e-9};
}

interference::interference() : start_(read()) {}

double interference::share() const {
  const account now = read();
  const double wall = now.wall - start_.wall;
  const double others = (now.busy - start_.busy) - (now.own - start_.own);
  const auto cpus = static_cast<double>(allowed_cpus().size());
  if (wall <= 0 || now.busy == 0) return 0;
  return std::clamp(others / (wall * cpus), 0.0, 1.0);
}

row unless_disturbed(row made, double others_share) {
  if (made.verdict != verdict::differs || others_share <= share_allowed) return made;
  made.verdict = verdict::not_run;
  made.measured.reset();
  made.why = fmt::format("cannot be judged now: other programs took {:.0f} % of the CPUs; {}",
                         others_share * 100, made.why);
  return made;
}

}  // namespace treadle::lab
