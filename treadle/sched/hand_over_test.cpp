// Every interleaving of the two books of a processor, its claim and the list of the idle.
//
// A worker comes back from the kernel while a spare that found it blocked takes its processor, or
// lets go of it with itself in reserve, and while work is brought from outside. They do as
// many_to_many_hand_over.cpp and many_to_many_relief.cpp do. Checked in every schedule: the work is
// done, though nobody ever wakes by himself, one at a time has the processor, and the books are
// even.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/support/explored_futex.hpp"
#include "treadle/sched/claim.hpp"
#include "treadle/sched/idle_workers.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

constexpr std::uint32_t first = 1;  // holds the processor at the beginning, and is blocked
constexpr std::uint32_t spare = 2;
constexpr std::uint32_t processor = 0;

using explored_claim = basic_claim<explored_atomic>;

// What a spare is told.
enum order : std::uint32_t { none, take_over, take_over_as_spinner, end };

struct world {
  world() { claim.begin(first); }

  // many_to_many::wake_one() and take_released()
  void wake_one() {
    if (!idle.anybody_sleeps()) return;
    if (idle.wake_one(true) >= 0) take_released(claim.look());
  }
  void take_released(explored_claim::seen now) {
    if (now.state() != hold::released || !claim.take(now, now.reserve())) return;
    tell(idle.get_up(processor) ? take_over_as_spinner : take_over);
  }
  void tell(order what) {
    require(bed.exchange(what) == none, "told twice");
    bed.notify_all();
  }

  bool take_work() {
    int left = queued.load();
    while (left > 0) {
      if (queued.compare_exchange_strong(left, left - 1)) return true;
    }
    return false;
  }
  // The idle context of who holds the processor, and is inside.
  void work(std::uint32_t who, bool spins) {
    for (;;) {
      require(user.exchange(who) == 0, "two have the processor");
      const bool found = take_work();
      user.store(0);
      if (spins) {
        idle.stop_spinning();
        if (found && queued.load() != 0) wake_one();
      }
      if (found) {
        done.fetch_add(1);
      } else if (over.load() != 0) {
        return;
      }
      spins = !found && nap();
    }
  }
  bool nap() {
    idle.lie_down(processor);
    if (queued.load() == 0 && over.load() == 0) {
      base::absence away;
      idle.sleep(processor, base::deadline::never(), away);
    }
    return idle.get_up(processor);
  }

  // The first one comes back, and its thread parks at once. Without the processor its thread is
  // queued for others.
  void come_back() {
    inside.store(1);
    explored_claim::seen before{};
    if (!claim.is_held_by(first)) {
      if (!claim.reclaim(first, before)) {
        queued.fetch_add(1);
        return wake_one();
      }
      if (before.state() == hold::released && idle.get_up(processor)) {
        idle.stop_spinning();
        wake_one();
      }
    }
    done.fetch_add(1);  // what its thread had to do
    work(first, false);
  }

  // many_to_many::relieve(): whether the spare is the holder now.
  bool relieve() {
    explored_claim::seen now = claim.look();
    if (now.state() != hold::held || now.holder() != first || inside.load() != 0) return false;
    if (!claim.suspect(now)) return false;
    if (inside.load() != 0) {
      static_cast<void>(claim.drop_suspicion(now));
      return false;
    }
    if (!claim.take(now, spare)) return false;
    if (queued.load() != 0) return true;
    // leave_released()
    idle.lie_down(processor);
    claim.release_to(spare, first, spare);
    if (!idle.is_asleep(processor) || queued.load() != 0) take_released(claim.look());
    return false;
  }
  void stand_in() {
    if (relieve()) return work(spare, false);
    bed.wait(none);
    const std::uint32_t told = bed.load();
    if (told != end) work(spare, told == take_over_as_spinner);
  }

  void bring() {
    queued.fetch_add(1);
    wake_one();
  }
  // The thread of the first one, and `brought`.
  void end_when_done(int brought) {
    wait_until([&] { return done.peek() == 1 + brought; }, "all work is done");
    over.store(1);
    idle.wake_all(1);
    std::uint32_t nothing = none;
    bed.compare_exchange_strong(nothing, end);
    bed.notify_all();
  }

  explored_claim claim;
  basic_idle_workers<explored_atomic, 1> idle;
  explored_atomic<std::uint32_t> bed{none};
  explored_atomic<int> inside{0};
  explored_atomic<int> queued{0};
  explored_atomic<int> done{0};
  explored_atomic<int> over{0};
  explored_atomic<std::uint32_t> user{0};
};

void check_end(world& s) {
  require(!s.idle.anybody_spins(), "somebody counts as spinner for ever");
  // A processor that was let go and that nobody needed again is listed.
  const bool released = s.claim.look().state() == hold::released;
  require(s.idle.anybody_sleeps() == released, "the books are not even");
  require(s.idle.is_asleep(processor) == released, "the bit and the count are not even");
}

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

// Guess: a second; four were explored by hand.
constexpr unsigned switches_max = 3;

TEST(HandOver, RelievedAsItComesBackWithWorkFromOutside) {
  expect_good(explore<world>({.preemptions_max = switches_max},
                             {[](world& s) { s.come_back(); }, [](world& s) { s.stand_in(); },
                              [](world& s) {
                                s.bring();
                                s.end_when_done(1);
                              }},
                             check_end));
}

TEST(HandOver, RelievedAndGoesIdleBeforeAnyWork) {
  expect_good(explore<world>({.preemptions_max = switches_max},
                             {[](world& s) { s.come_back(); }, [](world& s) { s.stand_in(); },
                              [](world& s) {
                                wait_until([&s] { return s.done.peek() == 1; }, "it is back");
                                s.bring();
                                s.end_when_done(1);
                              }},
                             check_end));
}

}  // namespace
}  // namespace treadle::core
