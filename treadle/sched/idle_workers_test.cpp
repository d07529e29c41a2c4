// Every interleaving of workers that run out of work with those who bring some from outside.
//
// Workers nap as many_to_many does: lie down, look once more, sleep, get up, and whoever was woken
// spins. Work comes through one queue; who brings it looks for sleepers after that. Checked in
// every schedule: all work is done, though nobody ever wakes by himself, and the books are even.
#include "treadle/sched/idle_workers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/support/explored_futex.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

// Switches in a schedule. Guesses: a second or some each; of two workers three were explored by
// hand, in ten.
#if defined(TREADLE_TSAN) || defined(TREADLE_ASAN)
constexpr unsigned ones_max = 3;
#else
constexpr unsigned ones_max = 4;
#endif
constexpr unsigned twos_max = 2;

// Waits for nothing but interrupt().
struct explored_poller final : poller {
  bool in_use() const noexcept override { return true; }
  void poll(base::deadline until) noexcept override {
    if (until.nanoseconds() != base::deadline::never().nanoseconds()) return;
    rung.wait(0);
    rung.store(0);
  }
  void interrupt() noexcept override {
    rung.store(1);
    rung.notify_all();
  }
  explored_atomic<int> rung{0};
};

template <unsigned Width, int Works, bool Polls = false>
struct world {
  world() {
    if (Polls) idle.events = &events;
  }

  bool take() {
    int left = queued.load();
    while (left > 0) {
      if (queued.compare_exchange_strong(left, left - 1)) return true;
    }
    return false;
  }
  void wake_one() {
    if (idle.anybody_sleeps()) idle.wake_one(true);
  }

  // Until it is told to end.
  void work(std::uint32_t index) {
    bool spins = false;
    for (;;) {
      const bool found = take();
      if (spins) {
        idle.stop_spinning();
        // There may be more where this came from, and nobody was woken while we spun.
        if (found && queued.load() != 0) wake_one();
      }
      if (found) {
        done.fetch_add(1);
      } else if (over.load() != 0) {
        return;
      }
      spins = !found && nap(index);
    }
  }
  // As many_to_many::nap().
  bool nap(std::uint32_t index) {
    idle.lie_down(index);
    if (queued.load() == 0 && over.load() == 0) {
      base::absence away;
      idle.sleep(index, base::deadline::never(), away);
    }
    return idle.get_up(index);
  }

  void bring(int works) {
    for (int i = 0; i < works; ++i) {
      queued.fetch_add(1);
      wake_one();
    }
  }
  void end_when_done() {
    wait_until([this] { return done.peek() == Works; }, "all work is done");
    over.store(1);
    idle.wake_all(Width);
  }

  explored_poller events;
  basic_idle_workers<explored_atomic, Width> idle;
  explored_atomic<int> queued{0};
  explored_atomic<int> done{0};
  explored_atomic<int> over{0};
};

template <class World>
void check_end(World& s) {
  require(!s.idle.anybody_spins(), "somebody counts as spinner for ever");
  require(!s.idle.anybody_sleeps(), "somebody counts as asleep for ever");
  require(!s.idle.anybody_polls(), "the seat is taken for ever");
}

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

// Of those who bring work one may find that the sleeper has got up by itself; the other took that
// one for a spinner, and the worker, which has lain down again, is to be woken all the same.
TEST(IdleWorkers, OneIsWokenByEachOfTwo) {
  using one = world<1, 2>;
  expect_good(explore<one>({.preemptions_max = ones_max},
                           {[](one& s) { s.work(0); },
                            [](one& s) {
                              s.bring(1);
                              s.end_when_done();
                            },
                            [](one& s) { s.bring(1); }},
                           check_end<one>));
}

TEST(IdleWorkers, OneInThePoller) {
  using one = world<1, 2, true>;
  expect_good(explore<one>({.preemptions_max = ones_max},
                           {[](one& s) { s.work(0); },
                            [](one& s) {
                              s.bring(1);
                              s.end_when_done();
                            },
                            [](one& s) { s.bring(1); }},
                           check_end<one>));
}

TEST(IdleWorkers, TwoForTwoWorks) {
  using two = world<2, 2>;
  expect_good(explore<two>({.preemptions_max = twos_max},
                           {[](two& s) { s.work(0); }, [](two& s) { s.work(1); },
                            [](two& s) {
                              s.bring(2);
                              s.end_when_done();
                            }},
                           check_end<two>));
}

TEST(IdleWorkers, TwoOfWhomOneMayPoll) {
  using two = world<2, 2, true>;
  expect_good(explore<two>({.preemptions_max = twos_max},
                           {[](two& s) { s.work(0); }, [](two& s) { s.work(1); },
                            [](two& s) {
                              s.bring(2);
                              s.end_when_done();
                            }},
                           check_end<two>));
}

// Who does not look once more after lying down is caught: the test can fail.
TEST(IdleWorkers, WithoutTheLastLookTheySleepOnWork) {
  using one = world<1, 1>;
  const verdict v = explore<one>({},
                                 {[](one& s) {
                                    if (s.take()) return;
                                    s.idle.lie_down(0);
                                    base::absence away;
                                    s.idle.sleep(0, base::deadline::never(), away);
                                  },
                                  [](one& s) { s.bring(1); }},
                                 [](one&) {});
  EXPECT_FALSE(v.good());
}

}  // namespace
}  // namespace treadle::core
