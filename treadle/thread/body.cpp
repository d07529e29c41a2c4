#include "treadle/thread/body.hpp"

#include "treadle/base/check.hpp"

#if defined(TREADLE_ASSERTIONS)
namespace treadle::core {
namespace {

std::string_view name_of_call(wait_reason why) noexcept {
  switch (why) {
    case wait_reason::mutex:
      return "mutex::lock";
    case wait_reason::shared_mutex:
      return "shared_mutex::lock";
    case wait_reason::condition:
      return "condition_variable::wait";
    case wait_reason::semaphore:
      return "counting_semaphore::acquire";
    case wait_reason::latch:
      return "latch::wait";
    case wait_reason::barrier:
      return "barrier::wait";
    case wait_reason::event:
      return "event::wait";
    case wait_reason::wait_group:
      return "wait_group::wait";
    case wait_reason::once:
      return "call_once";
    case wait_reason::rcu:
      return "rcu_synchronize";
    case wait_reason::join:
      return "thread::join";
    case wait_reason::scope:
      return "scope::join";
    case wait_reason::sleep:
      return "this_thread::sleep_until";
    case wait_reason::io:
      return "a call of treadle/io.hpp";
    default:
      return "a wait of the runtime";
  }
}

}  // namespace

void check_holds_no_spinlock(const thread& which, wait_reason why) noexcept {
  if (which.bound && which.body->spinlocks != 0) [[unlikely]] {
    base::fail_misuse(name_of_call(why), "parks the thread, which holds a spinlock");
  }
}

}  // namespace treadle::core
#endif
