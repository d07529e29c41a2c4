// One thread ticks each millisecond, by the peer's own sleep; another makes what a runtime cannot
// see coming, in place: a system call that blocks, cold pages of a mapped file, fsync, a loop that
// does not give way. How late a tick is at most is what the rest of a program feels.
//
// Every runtime has a cure for who knows of the call beforehand, a pool of kernel threads; this
// asks what happens to who does not.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <functional>
#include <string>
#include <system_error>

#include "../../measure.hpp"
#include "program.hpp"

namespace treadle::bench {

/// A file without a name in the folder one stands in.
class scratch_file {
 public:
  scratch_file() : descriptor_(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
    if (descriptor_ < 0) fail("open with O_TMPFILE");
  }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  ~scratch_file() { close(descriptor_); }

  void write_at(long offset) const {
    static const std::array<char, 65536> bytes{};
    if (pwrite(descriptor_, bytes.data(), bytes.size(), offset) != static_cast<long>(bytes.size()))
      fail("pwrite");
  }
  void sync() const {
    if (fsync(descriptor_) != 0) fail("fsync");
  }
  /// Reads one byte of each page, none of which is in memory.
  void touch_cold_pages(std::size_t bytes) const {
    sync();
    posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
    void* const mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (mapped == MAP_FAILED) fail("mmap");
    madvise(mapped, bytes, MADV_RANDOM);
    const volatile char* const pages = static_cast<const char*>(mapped);
    int sum = 0;
    for (std::size_t at = 0; at < bytes; at += 4096) sum += pages[at];
    static_cast<void>(sum);
    munmap(mapped, bytes);
  }

 private:
  [[noreturn]] static void fail(const char* call) {
    throw std::system_error(errno, std::generic_category(), call);
  }
  int descriptor_;
};

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
  constexpr long chunk = 65536;
  if (asked.workload == "gap_fsync") {
    return [file] {
      file->write_at(0);
      file->sync();
    };
  }
  if (asked.workload != "gap_fault") throw no_such_workload{};
  for (long offset = 0; offset < more; offset += chunk) file->write_at(offset);
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
