// Which CPUs a kernel thread may use, and holding one on a single CPU for the length of a scope.
#pragma once

#include <sched.h>

#include <vector>

namespace treadle::lab {

// The CPUs this kernel thread may use, ascending; at least one.
std::vector<int> allowed_cpus();

// Pins the calling kernel thread; the destructor restores what was allowed before, because a
// runtime may keep its kernel threads and use them again.
class pinned {
 public:
  explicit pinned(int cpu);
  ~pinned();
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;

 private:
  cpu_set_t before_;
  bool changed_ = false;
};

}  // namespace treadle::lab
