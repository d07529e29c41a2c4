// Every interleaving, within a bound on preemptions, of up to three threads on one mutex: barging,
// waking, giving up and handing over. Parking and the clock are the explorer's; the clock may jump
// beyond anybody's patience whenever somebody looks at it.
//
// Checked: exclusion, that nobody sleeps for ever, and that the mutex is plainly free in the end.
#include "treadle/sync/raw_mutex.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_mutex_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

constexpr std::int64_t jump = 2 * mutex_patience_nanoseconds;

struct ground : interleave::explored_ground<> {
  // Of the schedule that runs.
  static inline std::int64_t clock = 0;
  static inline int jumps_left = 0;
  static inline core::worker on;

  static void reset(int jumps) {
    explored_ground::reset();
    clock = 1;
    jumps_left = jumps;
  }
  static std::int64_t now() {
    if (jumps_left > 0 && in_schedule() && interleave::choose(2) == 1) {
      --jumps_left;
      clock += jump;
    }
    return ++clock;
  }
  static bool has_passed(base::deadline until) { return !until.is_never(); }
  static core::worker& worker() { return on; }
};

template <int Jumps>
struct state {
  using mutex = basic_mutex<ground>;

  state() {
    ground::reset(Jumps);
    ::new (memory) mutex;
  }
  // Not destroyed with the state: a schedule that is given up may leave it locked.
  mutex& lock() { return *std::launder(reinterpret_cast<mutex*>(memory)); }

  void hold() {
    require(++inside == 1, "two threads inside");
    static_cast<void>(probe.load());
    --inside;
    ++rounds;
    lock().unlock();
  }
  void pass() {
    lock().lock();
    hold();
  }
  void pass_in_time() {
    if (lock().lock_until(base::deadline::at(1))) hold();
  }
  void try_to_pass() {
    if (lock().try_lock()) hold();
  }
  // By the parts of a wait, as a task does it; `limited` may give up.
  void pass_as_task(bool limited) {
    typename mutex::lock_waiter node(ground::self(), ground::now());
    auto got = mutex::after_grant::ours;
    if (!lock().lock_or_enlist(node)) {
      do {
        const auto until = limited ? base::deadline::at(1) : base::deadline::never();
        const bool granted = ground::wait(node, until);
        if (!granted) {
          if (lock().take_out(node)) return;
          ground::wait(node, base::deadline::never());
        }
        got = lock().go_on(node, !granted);
      } while (got == mutex::after_grant::listed_again);
    }
    if (got == mutex::after_grant::ours) hold();
  }
  void check(int rounds_min) {
    require(rounds >= rounds_min, "a round is missing");
    lock().~mutex();  // ends the program when anything is left in the word
  }

  alignas(mutex) std::byte memory[sizeof(mutex)];
  explored_atomic<int> probe;
  int inside = 0;
  int rounds = 0;
};

template <int Jumps>
void expect_good(std::vector<std::function<void(state<Jumps>&)>> threads, int rounds_min,
                 unsigned preemptions = 3) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  const verdict v = explore<state<Jumps>>(bounds, threads,
                                          [rounds_min](state<Jumps>& s) { s.check(rounds_min); });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

template <int Jumps>
void pass(state<Jumps>& s) {
  s.pass();
}
template <int Jumps>
void pass_twice(state<Jumps>& s) {
  s.pass();
  s.pass();
}
template <int Jumps>
void pass_thrice(state<Jumps>& s) {
  s.pass();
  s.pass();
  s.pass();
}
template <int Jumps>
void pass_in_time(state<Jumps>& s) {
  s.pass_in_time();
}

TEST(RawMutex, TwoThreadsInEveryOrder) {
  expect_good<0>({pass_twice<0>, pass_twice<0>}, 4, 4);
  expect_good<2>({pass_twice<2>, pass_twice<2>}, 4, 3);
}

TEST(RawMutex, ABargerAndTwoWaiters) {
  expect_good<0>({pass_thrice<0>, pass<0>, pass<0>}, 5);
  expect_good<1>({pass_thrice<1>, pass<1>, pass<1>}, 5);
  expect_good<2>({pass_twice<2>, pass_twice<2>, pass<2>}, 5);
}

TEST(RawMutex, WaitersGiveUp) {
  expect_good<0>({pass_twice<0>, pass_in_time<0>, pass<0>}, 3);
  expect_good<2>({pass_twice<2>, pass_in_time<2>, pass<2>}, 3);
  expect_good<1>({pass_twice<1>, pass_in_time<1>, pass_in_time<1>}, 2);
}

template <int Jumps>
void pass_as_task(state<Jumps>& s) {
  s.pass_as_task(false);
}
template <int Jumps>
void pass_as_task_in_time(state<Jumps>& s) {
  s.pass_as_task(true);
}

TEST(RawMutex, TasksWaitBesideThreads) {
  expect_good<1>({pass_twice<1>, pass_as_task<1>}, 3, 4);
  expect_good<1>({pass_twice<1>, pass_as_task<1>, pass<1>}, 4, 2);
  expect_good<1>({pass_twice<1>, pass_as_task_in_time<1>, pass_as_task<1>}, 3, 2);
}

// A task whose limit somebody else ends, as the clock or a stop does (task/suspension.hpp): at any
// point of its way, also when it was granted and is about to be listed again. Who has barged in
// keeps the mutex until the task has ended its wait.
template <int Jumps>
struct limited_state : state<Jumps> {
  using mutex = typename state<Jumps>::mutex;
  using node = typename mutex::lock_waiter;

  void pass_within_a_limit() {
    auto& mine = *::new (node_memory) node(ground::self(), ground::now());
    auto& granted = ground::granted[ground::index_of(mine)];
    auto got = mutex::after_grant::ours;
    if (!this->lock().lock_or_enlist(mine)) {
      is_armed.store(1);
      do {
        interleave::wait_until([&] { return granted.peek() != 0 || gave_up.peek() != 0; }, "park");
        if (gave_up.load() != 0) break;
        granted.store(0);
        got = this->lock().go_on(mine, has_passed.load() != 0);
      } while (got == mutex::after_grant::listed_again);
      if (gave_up.load() != 0) got = mutex::after_grant::gave_up;
    }
    clock_lock.lock();
    is_over = true;
    clock_lock.unlock();
    if (got == mutex::after_grant::ours) this->hold();
  }
  void end_the_limit() {
    interleave::wait_until([this] { return is_armed.peek() != 0 || is_over; }, "arm");
    has_passed.store(1);
    clock_lock.lock();
    if (!is_over && this->lock().take_out(*std::launder(reinterpret_cast<node*>(node_memory)))) {
      gave_up.store(1);
    }
    clock_lock.unlock();
  }
  void barge_and_keep() {
    this->lock().lock();
    interleave::wait_until([this] { return is_over; }, "keep");
    this->hold();
  }

  alignas(node) std::byte node_memory[sizeof(node)];
  interleave::explored_lock clock_lock;
  explored_atomic<int> is_armed{0};
  explored_atomic<int> has_passed{0};
  explored_atomic<int> gave_up{0};
  bool is_over = false;
};

template <int Jumps>
void expect_limit_kept(unsigned preemptions) {
  using limited = limited_state<Jumps>;
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  const verdict v = explore<limited>(
      bounds,
      {[](limited& s) { s.pass(); }, [](limited& s) { s.pass_within_a_limit(); },
       [](limited& s) { s.end_the_limit(); }, [](limited& s) { s.barge_and_keep(); }},
      [](limited& s) { s.check(2); });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(RawMutex, ALimitFindsATaskThatWasGrantedInVain) {
  expect_limit_kept<0>(3);
  expect_limit_kept<1>(2);
}

TEST(RawMutex, WhoOnlyTriesDisturbsNobody) {
  expect_good<1>({pass_twice<1>, [](state<1>& s) { s.try_to_pass(); }, pass<1>}, 3);
}

}  // namespace
}  // namespace treadle::sync
