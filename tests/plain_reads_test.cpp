// When M:N makes a read as a plain call, which may block its worker, and when it is wary of that.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <treadle/treadle.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/one_processor.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle {
namespace {

using testing_support::one_processor;
using testing_support::scaled;

core::scheduler_port& port() { return *core::current_thread().scheduler; }

// How many calls are told not to block before one is not; -1: all.
int wary_calls() {
  constexpr int enough = 10'000;
  for (int i = 0; i < enough; ++i) {
    if (port().lets_block()) return i;
  }
  return -1;
}

TEST(PlainReads, AreMadeWhereWhoeverTheyKeepWaitingIsSeenTo) {
  for (const activation level : {activation::off, activation::monitor, activation::proc}) {
    runtime tried(one_processor(level));
    const bool watched = tried.activation().level >= activation::proc;
    EXPECT_EQ(tried.run([] { return wary_calls() >= 0; }), watched);
  }
  for (const model other : {model::many_to_one, model::one_to_one}) {
    runtime_options wanted;
    wanted.model = other;
    runtime tried(wanted);
    EXPECT_EQ(tried.run(wary_calls), -1);
  }
}

TEST(PlainReads, AreNotMadeForAWhileAfterOneWouldHaveBlocked) {
  runtime tried(one_processor(activation::proc));
  if (tried.activation().level != activation::proc) GTEST_SKIP() << "nobody watches here";
  tried.run([] {
    while (wary_calls() != 0) continue;
    port().note_would_block();
    EXPECT_GT(wary_calls(), 0);  // and it ends
  });
}

TEST(PlainReads, AreNotMadeForAWhileAfterAWorkerWasRelieved) {
  runtime tried(one_processor(activation::proc));
  if (tried.activation().level != activation::proc) GTEST_SKIP() << "nobody watches here";
  tried.run([] {
    while (wary_calls() != 0) continue;
    const std::uint64_t before = runtime::current().counters().reliefs;
    // Where others keep the CPUs busy nobody may have come in time.
    while (runtime::current().counters().reliefs == before) {
      thread sleeper([] { ::usleep(100'000); });
      sleeper.join();
    }
    EXPECT_GT(wary_calls(), 0);
  });
}

// Half of the blocks are dropped from memory all the time: whichever way a read takes, it gives
// what is there, and the others go on.
TEST(PlainReads, GiveWhatIsThere) {
  constexpr std::size_t blocks = 64;
  constexpr std::size_t block_bytes = 4096;
  std::string name = "/tmp/treadle-plain-reads-XXXXXX";
  const int file = ::mkstemp(name.data());
  ASSERT_GE(file, 0);
  ::unlink(name.c_str());
  for (std::size_t number = 0; number < blocks; ++number) {
    const std::string block(block_bytes, static_cast<char>('0' + number));
    ASSERT_EQ(::write(file, block.data(), block.size()), static_cast<ssize_t>(block.size()));
  }
  ::fdatasync(file);
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.width = 2;
  runtime tried(wanted);
  tried.run([&] {
    std::atomic<int> wrong{0};
    std::vector<thread> readers;
    for (unsigned r = 0; r < 16; ++r) {
      readers.emplace_back([&, r] {
        std::array<char, block_bytes> got;
        for (unsigned i = 0; i < scaled(2'000); ++i) {
          const unsigned number = (r * 7 + i) % blocks;
          const auto offset = static_cast<off_t>(number * block_bytes);
          if (i % 512 == r) {
            ::posix_fadvise(file, 0, blocks / 2 * block_bytes, POSIX_FADV_DONTNEED);
          }
          if (io::pread(file, got.data(), got.size(), offset) != ssize_t{block_bytes} ||
              got.front() != static_cast<char>('0' + number) || got.back() != got.front()) {
            ++wrong;
          }
        }
      });
    }
    for (thread& one : readers) one.join();
    EXPECT_EQ(wrong.load(), 0);
  });
  ::close(file);
}

}  // namespace
}  // namespace treadle
