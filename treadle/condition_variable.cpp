#include "treadle/condition_variable.hpp"

#include <memory>

#include "treadle/base/check.hpp"
#include "treadle/thread_specific.hpp"

namespace treadle {

void notify_all_at_thread_exit(condition_variable& condition, std::unique_lock<mutex> lock) {
  if (!lock.owns_lock()) {
    base::fail_misuse("notify_all_at_thread_exit", "the lock is not held");
  }
  struct note : detail::exit_note {
    condition_variable* condition = nullptr;
    mutex* held = nullptr;
  };
  detail::make_room_for_exit_notes();
  auto made = std::make_unique<note>();
  made->condition = &condition;
  made->run = [](detail::exit_note& self) noexcept {
    const std::unique_ptr<note> mine(static_cast<note*>(&self));
    // In this order: who is woken may destroy both once it has the mutex.
    mine->condition->notify_all();
    mine->held->unlock();
  };
  made->held = lock.release();  // nothing throws from here on
  detail::add_exit_note(*made.release());
}

}  // namespace treadle
