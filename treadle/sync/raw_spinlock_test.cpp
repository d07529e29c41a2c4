// Every interleaving, within a bound on preemptions, of up to three threads on one spinlock.
//
// Checked: exclusion, that everybody gets it, that it may be destroyed right after the last unlock,
// and that each thread's count of held ones is right.
#include "treadle/sync/raw_spinlock.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

struct ground : interleave::explored_ground<> {
  static inline std::array<int, threads_max> held;

  static void reset() {
    explored_ground::reset();
    held.fill(0);
  }
  static unsigned looks() { return 1; }
  static void count(core::thread& self, int change) {
    held[static_cast<std::size_t>(&self - records.data())] += change;
  }
};

struct state {
  using lock = basic_spinlock<ground>;

  state() {
    ground::reset();
    ::new (memory) lock;
  }
  // Not destroyed with the state: a schedule that is given up may leave it locked.
  lock& it() { return *std::launder(reinterpret_cast<lock*>(memory)); }

  void hold() {
    require(++inside == 1, "two threads inside");
    static_cast<void>(probe.load());
    require(ground::held[interleave::self()] == 1, "the count is wrong");
    --inside;
    ++rounds;
  }
  void pass() {
    it().lock();
    hold();
    it().unlock();
    require(ground::held[interleave::self()] == 0, "the count is wrong");
  }
  void try_to_pass() {
    if (!it().try_lock()) return;
    hold();
    it().unlock();
  }
  void pass_and_destroy(int users) {
    it().lock();
    hold();
    const bool last = rounds == users;
    it().unlock();
    if (!last) return;
    it().~basic_spinlock();
    ground::gone = true;
  }

  alignas(lock) std::byte memory[sizeof(lock)];
  explored_atomic<int> probe;
  int inside = 0;
  int rounds = 0;
};

void expect_good(std::vector<std::function<void(state&)>> threads, int rounds_min,
                 unsigned preemptions) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = false;  // the books of a state are not the explorer's words
  const verdict v = explore<state>(bounds, threads, [rounds_min](state& s) {
    require(s.rounds >= rounds_min, "a round is missing");
    if (!ground::gone) s.it().~basic_spinlock();  // ends the program when it is locked
  });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

constexpr auto pass = [](state& s) { s.pass(); };
constexpr auto pass_twice = [](state& s) {
  s.pass();
  s.pass();
};

TEST(RawSpinlock, InEveryOrder) {
  expect_good({pass_twice, pass_twice}, 4, 3);
  expect_good({pass, pass, pass}, 3, 3);
  expect_good({pass, pass, [](state& s) { s.try_to_pass(); }}, 2, 3);
}

TEST(RawSpinlock, DestroyedRightAfterTheLastUnlock) {
  const auto one_of_two = [](state& s) { s.pass_and_destroy(2); };
  expect_good({one_of_two, one_of_two}, 2, 4);
}

}  // namespace
}  // namespace treadle::sync
