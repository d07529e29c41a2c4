#include "treadle/thread/body.hpp"

#include "treadle/base/check.hpp"
#include "treadle/thread/current.hpp"

namespace treadle::core {
namespace {

// Sourced: as PTHREAD_DESTRUCTOR_ITERATIONS; what ends may make something new so often.
constexpr int rounds_max = 4;

void nothing_to_destroy(void*) noexcept { current_thread_or_null()->body->specific = {}; }

}  // namespace

void watch_end(thread& self) noexcept {
  specific_table& mine = self.body->specific;
  if (mine.destroy == nullptr) mine.destroy = &nothing_to_destroy;
}

void finish_specific(thread& self) noexcept {
  thread_body& body = *self.body;
  for (int round = 0; body.specific.destroy != nullptr && round < rounds_max; ++round) {
    body.specific.destroy(body.specific.values);
  }
  body.specific = {};
  if (body.loans.holds != 0) {
    base::fail_misuse("the end of a thread", "it still holds a priority_inheritance_mutex");
  }
}

}  // namespace treadle::core

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
