// Calls that block in the kernel without the runtime being told: some end by themselves, some only
// when another thread of the same runtime has done something, and some are page faults.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "tests/soak/tools.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/lab/cold_file.hpp"
#include "treadle/lab/slow_pages.hpp"

namespace soak {
namespace {

namespace io = treadle::io;

enum call_count { slept, synced, polled, bracketed };

void call_turn(seat& mine) {
  mine.mark("usleep");
  const unsigned span = mine.draw(2'000);
  const auto start = std::chrono::steady_clock::now();
  SOAK_CHECK(::usleep(span) == 0, "usleep was interrupted", errno);
  SOAK_CHECK(std::chrono::steady_clock::now() - start >= microseconds(span), "usleep", span);
  mine.count(slept);
  mine.mark("poll");
  SOAK_CHECK(::poll(nullptr, 0, 1) == 0, "poll was interrupted", errno);
  mine.count(polled);
  {
    mine.mark("blocking_region");
    const treadle::blocking_region here;
    ::usleep(mine.draw(500));
    mine.count(bracketed);
  }
  mine.mark("fsync");
  const descriptor file = make_file();
  SOAK_MUST(::write(file.get(), "soaked", 6));
  SOAK_MUST(::fsync(file.get()));
  mine.count(synced);
}

enum wait_count { piped, locked, both_ways };

// The writer has to run while the reader is blocked.
void read_from_another(seat& mine) {
  const pair_of_ends ends = make_pipe();
  const unsigned pause = mine.draw(1'000);
  crowd others;
  others.add([&] {
    treadle::this_thread::sleep_for(microseconds(pause));
    SOAK_MUST(::write(ends.writing.get(), "x", 1));
  });
  char byte = 0;
  const ssize_t got = ::read(ends.reading.get(), &byte, 1);
  SOAK_CHECK(got == 1 && byte == 'x', "a plain read", errno);
  others.join();
  mine.count(piped);
}

void lock_after_another(seat& mine) {
  const descriptor holder = make_file();
  // A second open file description: locks of flock(2) belong to those.
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", holder.get());
  const descriptor waiter(SOAK_MUST(::open(path, O_RDWR | O_CLOEXEC)));
  SOAK_MUST(::flock(holder.get(), LOCK_EX));
  const unsigned pause = mine.draw(1'000);
  crowd others;
  others.add([&] {
    treadle::this_thread::sleep_for(microseconds(pause));
    SOAK_MUST(::flock(holder.get(), LOCK_UN));
  });
  SOAK_CHECK(::flock(waiter.get(), LOCK_EX) == 0, "flock", errno);
  others.join();
  mine.count(locked);
}

// Two threads that answer each other by plain calls only.
void answer_each_other(seat& mine) {
  const pair_of_ends there = make_pipe();
  const pair_of_ends back = make_pipe();
  crowd others;
  others.add([&] {
    for (int i = 0; i < 20; ++i) {
      char byte = 0;
      SOAK_CHECK(::read(there.reading.get(), &byte, 1) == 1, "a plain read", errno);
      SOAK_CHECK(::write(back.writing.get(), &byte, 1) == 1, "a plain write", errno);
    }
  });
  for (int i = 0; i < 20; ++i) {
    const char sent = pattern(7, static_cast<std::size_t>(i));
    char got = 0;
    SOAK_CHECK(::write(there.writing.get(), &sent, 1) == 1, "a plain write", errno);
    SOAK_CHECK(::read(back.reading.get(), &got, 1) == 1 && got == sent, "an answer", errno);
  }
  others.join();
  mine.count(both_ways);
}

void wait_turn(seat& mine) {
  mine.mark("a pipe");
  read_from_another(mine);
  mine.mark("flock");
  lock_after_another(mine);
  mine.mark("two pipes");
  answer_each_other(mine);
}

enum page_count { cold, slow, given_back, refused };

void touch_cold_file() {
  treadle::lab::cold_file pages(3);
  pages.forget();
  crowd all;
  for (std::size_t i = 0; i < 3; ++i) {
    all.add([&, i] { pages.touch(i); });
  }
  all.join();
}

// Pages that a kernel thread of ours fills a millisecond later.
void touch_slow_pages(seat& mine) {
  try {
    treadle::lab::slow_pages pages(3, 2, 1e6);
    crowd all;
    for (std::size_t i = 0; i < 3; ++i) {
      all.add([&, i] { pages.touch(i); });
    }
    all.join();
    mine.count(slow);
  } catch (const std::system_error& error) {
    const int why = error.code().value();
    if (is_drought(why)) throw excuse();
    SOAK_CHECK(why == EPERM || why == ENOSYS || why == EINVAL, error.what(), why);
    mine.count(refused);
  }
}

// Pages of a file in memory that the kernel is told to drop, under the eyes of who reads them.
void drop_pages(seat& mine) {
  const descriptor file = make_file();
  constexpr std::size_t bytes = 64 * 4096;
  const unsigned seed = mine.draw(100);
  std::vector<char> content(bytes);
  for (std::size_t i = 0; i < bytes; ++i) content[i] = pattern(seed, i);
  SOAK_MUST(::write(file.get(), content.data(), bytes));
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  SOAK_CHECK(mapped != MAP_FAILED, "mmap", errno);
  const auto* const memory = static_cast<const volatile char*>(mapped);
  crowd all;
  all.add([&] {
    for (int i = 0; i < 5; ++i) {
      ::madvise(mapped, bytes, i % 2 == 0 ? MADV_DONTNEED : MADV_PAGEOUT);
      ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
      treadle::this_thread::yield();
    }
  });
  for (int i = 0; i < 2; ++i) {
    all.add([&] {
      for (std::size_t place = 0; place < bytes; place += 512) {
        SOAK_CHECK(memory[place] == pattern(seed, place), "a page is wrong at", place);
      }
    });
  }
  all.join();
  ::munmap(mapped, bytes);
  mine.count(given_back);
}

void page_turn(seat& mine) {
  mine.mark("slow pages");
  touch_slow_pages(mine);
  mine.mark("dropped pages");
  drop_pages(mine);
  mine.mark("a cold file");
  touch_cold_file();
  mine.count(cold);
}

}  // namespace

const part unseen_calls{
    "unseen-calls", needs::nothing, 2, {"usleeps", "fsyncs", "polls", "regions"}, call_turn};
const part unseen_waits{
    "unseen-waits", needs::relief, 2, {"pipes", "flocks", "answers"}, wait_turn};
const part cold_pages{
    "cold-pages", needs::nothing, 1, {"cold", "slow", "dropped", "uffd-refused"}, page_turn};

}  // namespace soak
