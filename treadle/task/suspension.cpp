#include "treadle/task/suspension.hpp"

#include "treadle/task/sleep.hpp"

namespace treadle::tasks {

void sleep::ring() noexcept {
  core::thread& who = self();
  if (end(stopped)) core::scheduler_port::unpark(who);
}

bool sleep::begin(engine& home, const std::stop_token* own_stop) {
  const base::deadline until = base::deadline::at(deadline);
  // A stop that has come already wins, or a loop of sleeps that are too short would not see it.
  if (watch_ == nullptr && own_stop != nullptr) watch_ = std::make_unique<watch>(*own_stop);
  if (watch_ != nullptr) watch_->on_stop.emplace(watch_->stop, bell{*this});
  if (until.has_passed()) static_cast<void>(end(over));
  if (is_over()) {
    yield();
    return true;
  }
  if (!until.is_never()) {
    armed = true;  // for us: the clock has no use for it
    expire = [](timer& due) noexcept -> core::thread* {
      auto& mine = static_cast<sleep&>(due);
      core::thread& who = mine.self();
      return mine.end(over) ? &who : nullptr;
    };
    home.timers().arm(*this, until);
  }
  park();
  return true;
}

}  // namespace treadle::tasks
