// A processor that its worker had let go of is fetched for surplus: the others are woken in turn.
//
// Three processors, of which one is let go of by a thread that blocks, and nobody is preempted: so
// whom nobody calls sleeps until another thread ends. A thread starts more than all can run, and
// whoever is called first for them must call the next, also where it is a spare that comes with the
// processor.
#include <gtest/gtest.h>

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <treadle/treadle.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;

constexpr unsigned width = 3;
constexpr int rounds = 16;  // guess: in one of six somebody slept on

void compute_until(const std::atomic<bool>& flag) {
  while (!flag.load()) ::sched_yield();
}

// For so long nobody has anything to do, and all lie down for good.
void let_all_lie_down() { std::this_thread::sleep_for(30ms); }

// In a runtime where all sleep, and a processor in the middle has no worker.
void start_more_than_can_run(runtime& tried) {
  std::atomic<bool> over{false};
  std::atomic<unsigned> running{0};
  std::thread outside([&] {
    tried.run([&] {
      const auto compute = [&] {
        running.fetch_add(1);
        compute_until(over);
      };
      std::vector<thread> all;
      for (unsigned i = 0; i < width + 1; ++i) all.emplace_back(compute);
      compute();
      for (thread& one : all) one.join();
    });
  });
  eventually([&] { return running.load() >= width; });
  over.store(true);
  outside.join();
}

TEST(FetchedProcessor, IsNotTheLastToBeWoken) {
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.width = width;
  wanted.slice = 0ns;
  for (int i = 0; i < rounds; ++i) {
    runtime tried(wanted);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    let_all_lie_down();
    std::atomic<bool> over{false};
    // On the first processor, so that the other one goes to the second.
    std::thread first([&] { tried.run([&] { compute_until(over); }); });
    let_all_lie_down();
    std::thread second([&] {
      tried.run([&] {
        const auto until = std::chrono::steady_clock::now() + 5ms;
        while (std::chrono::steady_clock::now() < until) ::sched_yield();
        const blocking_region here;
        char byte;
        EXPECT_EQ(::read(ends[0], &byte, 1), 1);
      });
    });
    let_all_lie_down();
    over.store(true);
    first.join();
    let_all_lie_down();
    start_more_than_can_run(tried);
    EXPECT_EQ(::write(ends[1], "", 1), 1);
    second.join();
    ::close(ends[0]);
    ::close(ends[1]);
  }
}

}  // namespace
}  // namespace treadle
