// How a program thread waits on the runtime's side: parked, until something is so, a point in time,
// or a signal that its handler is to see.
#pragma once

#include "treadle/base/clock.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

enum class [[nodiscard]] wait_result{done, timed_out, interrupted};

// Whoever makes `done()` true unparks the thread after that. Done wins over the others.
template <class Done>
wait_result wait_for(program_thread& self, base::deadline until, core::wait_reason why,
                     Done&& done) noexcept {
  core::thread& parked = *self.self.load(base::relaxed);  // relaxed: our own
  self.interruptible.store(true, base::relaxed);          // relaxed: the fence orders it
  program_thread::before_look();
  wait_result result = wait_result::done;
  while (!done()) {
    if (self.deliverable() != 0) {
      result = wait_result::interrupted;
      break;
    }
    if (until.has_passed()) {
      result = wait_result::timed_out;
      break;
    }
    ++self.turns;
    static_cast<void>(parked.scheduler->park(why, until));
  }
  self.interruptible.store(false, base::relaxed);  // relaxed: a stray unpark is no harm
  return result;
}

}  // namespace treadle::shim
