// How long who waits for the next timer naps where a crowd sleeps (decision 0037).
//
// A nap costs as much as a few sleepers' turns. With a crowd of them, whose timers come one after
// another, most of the time would go into naps; so each lasts for a while then. Elsewhere, and when
// the next timer is further away, nobody is late for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::core {

class crowd {
 public:
  // A crowd: of so many sleepers the end of a nap wakes so many, so many times in a row. The next
  // nap then lasts for so long at least. Measured (bench sleepers, 100,000 in a second; naps of
  // 0.2, 0.5 and 1 ms): 0.21, 0.18 and 0.16 s of CPU with one worker, late in the median by 0.14,
  // 0.29 and 0.54 ms; with two workers 0.28, 0.25 and 0.26 s.
  static constexpr std::size_t sleepers_min = 1000;
  static constexpr std::size_t woken_min = 4;
  static constexpr unsigned naps_min = 8;
  static constexpr std::int64_t nap_nanoseconds = 500'000;

  // A guess from anywhere: naps last longer.
  bool is_here() const noexcept { return naps_.load(base::relaxed) == naps_min; }

  // When to get up: for who lies down now, has woken `woken` sleepers since its last nap and looked
  // at the timers at `looked`; the next one is due at `timer`. `sleepers` counts them, about.
  template <class Count>
  std::int64_t gets_up(std::int64_t looked, std::int64_t timer, std::size_t woken,
                       const Count& sleepers) noexcept {
    const std::int64_t least = looked + nap_nanoseconds;
    const bool goes_on = woken >= woken_min && timer < least && sleepers() >= sleepers_min;
    // relaxed, both: guesses, and one waits for timers at a time, mostly
    const unsigned before = naps_.load(base::relaxed);
    naps_.store(goes_on ? std::min(before + 1, naps_min) : 0, base::relaxed);
    return goes_on && before == naps_min ? least : timer;
  }

 private:
  base::atomic<unsigned> naps_{0};  // in a row, up to naps_min
};

}  // namespace treadle::core
