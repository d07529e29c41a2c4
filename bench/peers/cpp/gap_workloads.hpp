// One thread ticks each millisecond, by the peer's own sleep; another makes what a runtime cannot
// see coming, in place: a system call that blocks, cold pages of a mapped file, fsync, a loop that
// does not give way. How late a tick is at most is what the rest of a program feels.
//
// Every runtime has a cure for who knows of the call beforehand, a pool of kernel threads; this
// asks what happens to who does not.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <functional>
#include <memory>
#include <string>

#include "../../measure.hpp"
#include "program.hpp"
#include "scratch_file.hpp"

namespace treadle::bench {

inline void block_for(long milliseconds) {
  const timespec span = {milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &span, nullptr);
}

inline void compute_for(long milliseconds) {
  const double end = read_clock(CLOCK_MONOTONIC) + static_cast<double>(milliseconds) * 1e-3;
  while (read_clock(CLOCK_MONOTONIC) < end) spend(1000);
}

/// What is done `count` times in place.
inline std::function<void()> find_disturbance(const order& asked) {
  const long more = asked.more;
  if (asked.workload == "gap_block") return [more] { block_for(more); };
  if (asked.workload == "gap_hog") return [more] { compute_for(more); };
  const auto file = std::make_shared<scratch_file>();
  static constexpr std::array<std::byte, 65536> chunk{};
  if (asked.workload == "gap_fsync") {
    return [file] {
      file->write_at(0, chunk);
      file->sync();
    };
  }
  if (asked.workload != "gap_fault") throw no_such_workload{};
  for (long offset = 0; offset < more; offset += static_cast<long>(chunk.size())) {
    file->write_at(offset, chunk);
  }
  return [file, more] { file->touch_cold_pages(static_cast<std::size_t>(more)); };
}

template <class P>
repetition longest_gap(long times, const std::function<void()>& disturb) {
  constexpr std::chrono::milliseconds tick(1);
  std::atomic<bool> done{false};
  double longest = 0;
  const stopwatch watch;
  auto ticking = P::spawn([&] {
    double last = read_clock(CLOCK_MONOTONIC);
    while (!done.load(std::memory_order_acquire)) {  // pairs with the end below
      P::sleep(tick);
      const double now = read_clock(CLOCK_MONOTONIC);
      longest = std::max(longest, now - last - 1e-3);
      last = now;
    }
  });
  auto disturbing = P::spawn([&] {
    for (long time = 0; time < times; ++time) {
      P::sleep(5 * tick);
      disturb();
    }
    done.store(true, std::memory_order_release);  // pairs with the loop above
  });
  P::join(ticking);
  P::join(disturbing);
  repetition result = watch.stop(static_cast<double>(times));
  result.longest_wait = longest;
  return result;
}

}  // namespace treadle::bench
