// sched_getaffinity and sched_setaffinity for the calling kernel thread.
#include "treadle/lab/affinity.hpp"

#include <cerrno>
#include <system_error>

namespace treadle::lab {

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  // More CPUs than a cpu_set_t holds (1024): then nothing is known, and CPU 0 is a fair guess.
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

pinned::pinned(int cpu) {
  CPU_ZERO(&before_);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (::sched_getaffinity(0, sizeof before_, &before_) != 0 ||
      ::sched_setaffinity(0, sizeof one, &one) != 0) {
    throw std::system_error(errno, std::generic_category(), "pinning a kernel thread to one CPU");
  }
  changed_ = true;
}

pinned::~pinned() {
  // Cannot fail in a way that matters: the set was in force a moment ago.
  if (changed_) (void)::sched_setaffinity(0, sizeof before_, &before_);
}

}  // namespace treadle::lab
