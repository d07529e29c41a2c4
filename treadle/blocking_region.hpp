// Says that a thread is about to call something that may block its kernel thread for long.
#pragma once

#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle {

// While one lives the calling thread needs no processor: others run on it meanwhile, where the
// model can do that (m:n); where it cannot, this does nothing. Regions may be nested.
//   treadle::blocking_region here;
//   ::flock(descriptor, LOCK_EX);
// Blocks: the constructor never; the destructor parks the thread until a processor is free, if its
// own was taken. Inside, everything may be used, also this library's own waits: they take a
// processor, and end the effect. To be destroyed by the thread that made it.
// Costs about as much as a short system call when nothing else wants to run. Without a region the
// runtime notices a blocked kernel thread by itself, a little later.
// Not promised: more threads at once than the runtime has workers to spare; the others wait.
class [[nodiscard]] blocking_region {
 public:
  blocking_region() noexcept { core::current_thread().scheduler->enter_blocking(); }
  ~blocking_region() { core::current_thread().scheduler->leave_blocking(); }
  blocking_region(const blocking_region&) = delete;
  blocking_region& operator=(const blocking_region&) = delete;
};

}  // namespace treadle
