// M:N with many more processors than there are CPUs: few of the idle workers doze, the others sleep
// soundly, and yet no thread is left lying.
//
// Activation is off, so that nobody but a thief helps a thread behind one that never gives way: a
// wake-up that is lost is a test that hangs.
#include <treadle/runtime.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <treadle/scope.hpp>
#include <treadle/this_thread.hpp>
#include <treadle/thread.hpp>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::eventually;
using testing_support::scaled;

runtime_options wide(unsigned width) {
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.width = width;
  wanted.activation = activation::off;
  return wanted;
}

// A kernel thread of few CPUs must not take the others' time while it waits.
void wait_for(const std::atomic<int>& done, int count) {
  while (done.load() < count) std::this_thread::yield();
}

// Each queues a thread where it never gives way itself.
void demand(std::size_t rounds) {
  for (std::size_t i = 0; i < rounds; ++i) {
    std::atomic<int> done{0};
    thread wanted([&done] { done.store(1); });
    wait_for(done, 1);
    wanted.join();
  }
}

class Wide : public ::testing::TestWithParam<unsigned> {
 protected:
  runtime runtime_{wide(GetParam())};
};

TEST_P(Wide, AThreadBehindOneThatNeverGivesWayIsFound) {
  runtime_.run([] { demand(scaled(200)); });
}

// Who dozes for all is often taken away by work.
TEST_P(Wide, ThreadsBehindSeveralAreFound) {
  runtime_.run([] {
    scope all;
    for (int i = 0; i < 6; ++i) all.spawn([] { demand(scaled(40)); });
    all.join();
  });
}

// Each keeps who has found it, until all are found.
TEST_P(Wide, EachIsFoundByAnother) {
  for (std::size_t round = 0; round < scaled(20); ++round) {
    runtime_.run([] {
      constexpr int hogs = 16;
      std::atomic<int> begun{0};
      scope all;
      for (int i = 0; i < hogs; ++i) {
        all.spawn([&begun] {
          thread child([&begun] {
            begun.fetch_add(1);
            wait_for(begun, hogs);
          });
          wait_for(begun, hogs);
          child.join();
        });
      }
      all.join();
    });
  }
}

// From no work at all to much, and back.
TEST_P(Wide, CrowdsComeAndGo) {
  for (std::size_t round = 0; round < scaled(40); ++round) {
    const int threads = 1 << round % 10;
    std::atomic<int> done{0};
    runtime_.run([&done, threads] {
      scope all;
      for (int i = 0; i < threads; ++i) {
        all.spawn([&done, i] {
          if (i % 3 == 0) this_thread::sleep_for(std::chrono::microseconds(50 * (i % 40)));
          std::atomic<int> own{0};
          thread child([&own] { own.store(1); });
          if (i % 16 == 0) wait_for(own, 1);  // fewer than processors
          child.join();
          done.fetch_add(1);
        });
      }
      all.join();
    });
    EXPECT_EQ(done.load(), threads);
  }
}

// Woken from outside when all are asleep, which is when nobody dozes.
TEST_P(Wide, ThreadsFromOutsideRun) {
  for (std::size_t i = 0; i < scaled(100); ++i) {
    runtime_.run([] {
      std::atomic<int> done{0};
      thread wanted([&done] { done.store(1); });
      wait_for(done, 1);
      wanted.join();
    });
    if (i % 10 == 0) std::this_thread::sleep_for(3ms);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, Wide, ::testing::Values(65U, 200U, 1024U));

// While one thread computes, who has nothing to run gets up in all a few times a millisecond.
TEST(WideRuntime, FewWorkersDozeForAll) {
  constexpr unsigned width = 512;
  constexpr std::uint64_t dozers = 8;
  runtime all(wide(width));
  all.run([&all] {
    // All have begun, and have found nothing.
    eventually([&all] { return all.counters().sleeps >= width; });
    const std::uint64_t before = all.counters().sleeps;
    const auto begin = steady_clock::now();
    while (steady_clock::now() - begin < 200ms) continue;
    const std::uint64_t naps = all.counters().sleeps - before;
    const auto milliseconds = static_cast<std::uint64_t>((steady_clock::now() - begin) / 1ms);
    // Each has some that are shorter than a millisecond, at first. Of those who lay down just now
    // some may have done so twice.
    EXPECT_LE(naps, dozers * (milliseconds + 8) + width);
  });
}

}  // namespace
}  // namespace treadle
