#include "tests/soak/watchdog.hpp"

#include <unistd.h>

#include "treadle/base/clock.hpp"

namespace soak {

watchdog::watchdog(const std::deque<seat>& seats, std::chrono::seconds patience, bool hold)
    : seats_(seats), patience_(patience), hold_(hold), watching_([this] { watch(); }) {}

watchdog::~watchdog() {
  over_ = true;
  watching_.join();
}

void watchdog::watch() const {
  while (!over_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const std::int64_t now = treadle::base::monotonic_now();
    for (const seat& one : seats_) {
      const std::int64_t began = one.began.load();
      if (began == 0 || now - began < std::chrono::nanoseconds(patience_).count()) continue;
      tell(one, static_cast<double>(now - began) * 1e-9);
      // Not exit(): whoever is stuck may hold one of libc's locks.
      if (!hold_) ::_exit(1);
      for (;;) ::pause();
    }
  }
}

void watchdog::tell(const seat& stuck, double seconds) const {
  say("soak: STUCK: %s, %s: no progress for %.0f s\n", stuck.of.name, stuck.step.load(), seconds);
  const std::int64_t now = treadle::base::monotonic_now();
  for (const seat& one : seats_) {
    const std::int64_t began = one.began.load();
    const double since = began == 0 ? 0 : static_cast<double>(now - began) * 1e-9;
    say("soak:   %-14s %8llu turns; %s%.1f s %s\n", one.of.name,
        static_cast<unsigned long long>(one.turns.load()), began == 0 ? "between turns, " : "",
        since, one.step.load());
  }
}

}  // namespace soak
