#include "treadle/shim/threads/last_thread.hpp"

#include <cstdlib>

#include "treadle/shim/door/trap.hpp"
#include "treadle/shim/signals/sending.hpp"

namespace treadle::shim {
namespace {

// libc does not know that such a thread has ended, and never sees the last one end.
constinit base::atomic<bool> has_lost_count{false};

void go_on_in_exit(saved_call& call) noexcept {
  // As after a call: 8 bytes below a multiple of 16 lies where it would return to, which it does
  // not. Frames below are of no use any more.
  call.stack_pointer = (call.stack_pointer & ~std::uint64_t{15}) - 8;
  *reinterpret_cast<std::uint64_t*>(call.stack_pointer) = 0;
  call.return_address = reinterpret_cast<std::uint64_t>(&std::exit);
  call.arguments[0] = 0;
}

}  // namespace

last_act act_as_last(saved_call& call) noexcept {
  program_thread& self = *call.caller;
  // relaxed, both: who is not the last leaves the book after this, under its lock
  if (is_raw_exit(call)) has_lost_count.store(true, base::relaxed);
  {
    const base::guard hold(threads().lock);
    if (!threads().is_last_or_leaves(self)) return last_act::not_last;
  }
  if (has_lost_count.load(base::relaxed)) return last_act::ends;
  go_on_in_exit(call);
  // libc blocks all signals at the end of a thread, but not of the last.
  if (!self.is_leader) set_mask(self, self.mask_before_all);
  return last_act::goes_on;
}

}  // namespace treadle::shim
