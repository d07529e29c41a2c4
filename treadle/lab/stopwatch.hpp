// Elapsed nanoseconds as doubles: what every experiment divides.
//
// Two clocks. Wall is CLOCK_MONOTONIC. Cpu is the time that all kernel threads of the process
// together have used: where only one of them runs at a time it is the same as wall time on an idle
// machine, and on a busy one it leaves out the others' work. It must not be used where a kernel
// thread waits by spinning (M:N), as the spinning would count.
#pragma once

#include <cstdint>
#include <ctime>

#include "treadle/base/clock.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

enum class time_kind { wall, cpu };

// The clock for costs of things done one after another under this model.
constexpr time_kind cost_clock(treadle::model of) {
  return of == model::many_to_many ? time_kind::wall : time_kind::cpu;
}

class stopwatch {
 public:
  explicit stopwatch(time_kind kind = time_kind::wall)
      : clock_(kind == time_kind::wall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID),
        start_(now()) {}
  double nanoseconds() const { return static_cast<double>(now() - start_); }

 private:
  std::int64_t now() const {
    timespec time{};
    ::clock_gettime(clock_, &time);
    return time.tv_sec * base::nanoseconds_per_second + time.tv_nsec;
  }

  clockid_t clock_;
  std::int64_t start_;
};

}  // namespace treadle::lab
