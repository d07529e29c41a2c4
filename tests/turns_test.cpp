// M:N: who goes first beside threads that compute, counted in turns and preemptions.
#include <treadle/runtime.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <treadle/io.hpp>
#include <treadle/latch.hpp>
#include <treadle/scope.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;

class Turns : public ::testing::TestWithParam<unsigned> {
 protected:
  bool preempts() const { return runtime_.activation().preempts; }
  std::uint64_t preemptions() const { return runtime_.counters().preemptions; }

  runtime runtime_{{.model = model::many_to_many, .width = GetParam()}};
};

// Loops until it is told to stop, and counts its rounds.
struct loop {
  std::atomic<bool> begun{false};
  std::atomic<std::uint64_t> rounds{0};
  void go_on_until(const std::atomic<bool>& stop) {
    begun = true;
    while (!stop.load(std::memory_order_relaxed)) rounds.fetch_add(1, std::memory_order_relaxed);
  }
};

std::vector<thread> start(std::vector<loop>& loops, const std::atomic<bool>& stop) {
  std::vector<thread> threads;
  for (loop& one : loops) threads.emplace_back([&] { one.go_on_until(stop); });
  return threads;
}

// Some milliseconds: of work and not on the clock, which goes on while other programs run.
void compute() {
  volatile unsigned sink = 0;
  for (unsigned i = 0; i < 1'000'000; ++i) sink = sink + 1;
}

// Of loops that were started together one at most runs between two turns of who gives way: nobody
// knows yet what they are. On one processor, where the order is known.
TEST(TurnsOfOne, WhoGivesWayWaitsForOneNewcomer) {
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.width = 1;
  runtime one(wanted);
  if (!one.activation().preempts) GTEST_SKIP() << one.activation().why_not_preempting;
  one.run([] {
    std::atomic<bool> stop{false};
    std::vector<loop> loops(5);
    const auto begun = [&] {
      return std::count_if(loops.begin(), loops.end(),
                           [](loop& each) { return each.begun.load(); });
    };
    std::ptrdiff_t most = 0;
    thread other([&] {
      for (std::ptrdiff_t before = 0; before < std::ssize(loops);) {
        this_thread::yield();
        const std::ptrdiff_t now = begun();
        most = std::max(most, now - before);
        before = now;
      }
      stop = true;
    });
    this_thread::yield();
    std::vector<thread> threads = start(loops, stop);
    for (thread& each : threads) each.join();
    other.join();
    EXPECT_EQ(most, 1);
  });
}

// Who was woken by the thread that ran before goes before all that is ready, also where a timer has
// expired meanwhile: a lock may be kept for it. Now and then the ring's head goes first. A round in
// which somebody was stopped, as other processes kept the CPU, says nothing.
TEST(TurnsOfOne, WhoWasWokenStaysBeforeTheRingWhenTimersExpire) {
  constexpr int rounds = 600;  // timers are looked at every 64th turn: some rounds end at one
  constexpr int ready = 8;
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.width = 1;
  runtime one(wanted);
  one.run([] {
    const auto times_stopped = [] {
      const auto now = runtime::current().counters();
      return now.preemptions + now.reliefs;
    };
    int most_before = 0;
    int undisturbed = 0;
    for (int round = 0; round < rounds; ++round) {
      const std::uint64_t stopped = times_stopped();
      const auto wake_up = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
      counting_semaphore<1> call(0);
      latch all_ran(2 + ready);
      bool answered = false;
      int before = 0;
      std::vector<thread> threads;
      threads.emplace_back([&] {
        call.acquire();
        answered = true;
        all_ran.count_down();
      });
      threads.emplace_back([&] {
        this_thread::sleep_until(wake_up);
        all_ran.count_down();
      });
      this_thread::yield();
      while (std::chrono::steady_clock::now() < wake_up) {
      }
      for (int i = 0; i < ready; ++i) {
        threads.emplace_back([&] {
          if (!answered) ++before;
          all_ran.count_down();
        });
      }
      call.release();
      all_ran.wait();  // a join would give way to whom it waits for
      for (thread& each : threads) each.join();
      if (times_stopped() != stopped) continue;
      ++undisturbed;
      most_before = std::max(most_before, before);
    }
    EXPECT_GT(undisturbed, 0);
    EXPECT_LE(most_before, ready / 2);
  });
}

// All loops go on, and so does who gives way.
TEST_P(Turns, EverybodyGoesOn) {
  if (!preempts()) GTEST_SKIP() << runtime_.activation().why_not_preempting;
  runtime_.run([&] {
    std::atomic<bool> stop{false};
    std::vector<loop> loops(3 * GetParam());
    std::vector<thread> threads = start(loops, stop);
    for (int round = 0; round < 2; ++round) {
      std::vector<std::uint64_t> before;
      for (loop& each : loops) before.push_back(each.rounds.load());
      eventually([&] {
        return std::equal(loops.begin(), loops.end(), before.begin(),
                          [](loop& each, std::uint64_t then) { return each.rounds.load() > then; });
      });
    }
    stop = true;
    for (thread& each : threads) each.join();
  });
}

// A newcomer stands behind those who give way, but not for ever: here they alone use up every turn
// of the queues, beside a loop.
TEST_P(Turns, NewcomersAreNotPassedOverForEver) {
  if (!preempts()) GTEST_SKIP() << runtime_.activation().why_not_preempting;
  runtime_.run([&] {
    std::atomic<bool> stop{false};
    std::vector<loop> loops(GetParam());
    std::vector<thread> threads = start(loops, stop);
    for (unsigned i = 0; i < 6 * GetParam(); ++i) {
      threads.emplace_back([&] {
        while (!stop.load()) {
          compute();
          this_thread::yield();
        }
      });
    }
    const std::uint64_t before = preemptions();
    eventually([&] { return preemptions() >= before + 4; });
    for (int i = 0; i < 3; ++i) thread([] {}).join();
    stop = true;
    for (thread& each : threads) each.join();
  });
}

// Nobody is idle to wait for events: who stops a loop looks for them.
TEST_P(Turns, EventsAreSeenBesideLoops) {
  if (!preempts()) GTEST_SKIP() << runtime_.activation().why_not_preempting;
  int to_us[2];
  int back[2];
  ASSERT_EQ(::pipe(to_us), 0);
  ASSERT_EQ(::pipe(back), 0);
  constexpr int messages = 20;
  std::atomic<std::uint64_t> slices{0};
  std::atomic<bool> go{false};
  std::thread outside([&] {
    char byte = 'x';
    while (!go.load()) std::this_thread::yield();
    for (int i = 0; i < messages; ++i) {
      const std::uint64_t before = preemptions();
      if (::write(to_us[1], &byte, 1) != 1 || ::read(back[0], &byte, 1) != 1) return;
      slices += preemptions() - before;
    }
  });
  runtime_.run([&] {
    std::atomic<bool> stop{false};
    std::vector<loop> loops(2 * GetParam());
    std::vector<thread> threads = start(loops, stop);
    eventually([&] {
      return std::all_of(loops.begin(), loops.end(), [](loop& each) { return each.begun.load(); });
    });
    go = true;
    char byte = 0;
    for (int i = 0; i < messages; ++i) {
      EXPECT_EQ(io::read(to_us[0], &byte, 1), 1);
      EXPECT_EQ(io::write(back[1], &byte, 1), 1);
    }
    stop = true;
    for (thread& each : threads) each.join();
  });
  outside.join();
  // One slice ends on each processor before the event is seen. Guess: and then some.
  EXPECT_LE(slices.load(), 10U * messages * GetParam());
  for (const int each : {to_us[0], to_us[1], back[0], back[1]}) io::close(each);
}

// Threads that compute for a while and then give way are never preempted; a sleeper does not wait
// for as many of them as a processor serves between two looks around.
TEST_P(Turns, SleepersWakeBesideThreadsThatSeldomGiveWay) {
  if (runtime_.activation().level == activation::off) {
    GTEST_SKIP() << runtime_.activation().why_not_better;
  }
  constexpr int sleeps = 10;
  runtime_.run([&] {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> turns{0};
    std::vector<thread> threads;
    for (unsigned i = 0; i < 2 * GetParam(); ++i) {
      threads.emplace_back([&] {
        while (!stop.load()) {
          compute();
          ++turns;
          this_thread::yield();
        }
      });
    }
    std::uint64_t waited = 0;
    for (int i = 0; i < sleeps; ++i) {
      const std::uint64_t before = turns.load();
      this_thread::sleep_for(std::chrono::microseconds(100));
      waited += turns.load() - before;
    }
    stop = true;
    for (thread& each : threads) each.join();
    // A processor looks around after 64.
    EXPECT_LE(waited, 30U * sleeps * GetParam());
  });
}

// The rest of who forked a child is behind the ring, which two that yield keep filled.
TEST_P(Turns, TheParentOfAWaitingChildGoesOn) {
  runtime_.run([&] {
    std::atomic<bool> stop{false};
    std::atomic<bool> starved{false};
    std::vector<thread> yielding;
    for (unsigned i = 0; i < 3 * GetParam(); ++i) {
      yielding.emplace_back([&] {
        for (int turn = 0; !stop.load(); ++turn) {
          if (turn == 1'000'000) starved = stop = true;
          this_thread::yield();
        }
      });
    }
    this_thread::yield();
    counting_semaphore<> go(0);
    scope group;
    group.spawn([&] { go.acquire(); });
    stop = true;
    go.release();
    group.join();
    for (thread& each : yielding) each.join();
    EXPECT_FALSE(starved.load());
  });
}

INSTANTIATE_TEST_SUITE_P(Widths, Turns, ::testing::Values(1U, 2U));

}  // namespace
}  // namespace treadle
