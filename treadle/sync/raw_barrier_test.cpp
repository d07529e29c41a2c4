// Every interleaving, within a bound on preemptions, of up to four parties at one barrier: arriving
// and waiting, arriving early, dropping out, giving up, and destroying it after the last phase.
// Parking is the explorer's.
//
// Checked: a phase ends when all have arrived and not before, its completion runs once and before
// anybody goes on, nobody sleeps for ever, and nothing is touched after its end.
#include "treadle/sync/raw_barrier.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_barrier_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using ground =
    interleave::explored_ground<interleave::watched_atomic, interleave::explored_lock_with_end>;

constexpr base::deadline soon = base::deadline::at(1);

template <int Parties>
struct state {
  using barrier = basic_barrier<ground>;

  state() {
    ground::reset();
    ::new (memory) barrier(Parties);
  }
  // Not destroyed with the state: a schedule that is given up may leave waiters at it.
  barrier& it() { return *std::launder(reinterpret_cast<barrier*>(memory)); }

  barrier::phase finish(const barrier::arrival& made) {
    require(made.during == completed, "another phase than the one that is going on");
    if (made.is_last) {
      static_cast<void>(probe.load());
      require(arrived == expected, "the phase has ended too early");
      arrived = 0;
      expected -= dropped;
      dropped = 0;
      ++completed;
      it().complete();
    }
    return made.during;
  }
  barrier::phase arrive(int by = 1) {
    arrived += by;
    return finish(it().arrive(by));
  }
  void drop() {
    ++arrived;
    ++dropped;
    finish(it().arrive_and_drop());
  }
  void went_on(barrier::phase during) {
    ground::end_wait();
    require(completed > during, "went on before the end of the phase");
  }
  void wait(barrier::phase during) {
    it().wait(during);
    went_on(during);
  }
  bool wait_in_time(barrier::phase during) {
    const bool ended = it().wait(during, base::wait_limit(std::chrono::nanoseconds(1)));
    if (ended) {
      went_on(during);
    } else {
      ground::end_wait();
    }
    return ended;
  }
  void arrive_then_wait() { wait(arrive()); }
  void arrive_and_wait() {
    ++arrived;
    const barrier::arrival made = it().arrive_and_wait();
    if (made.is_last) finish(made);
    went_on(made.during);
  }
  void destroy() {
    it().~barrier();
    ground::gone = true;
  }

  alignas(barrier) std::byte memory[sizeof(barrier)];
  explored_atomic<int> probe;
  explored_atomic<int> gone_on{0};
  int arrived = 0;
  int expected = Parties;
  int dropped = 0;
  barrier::phase completed = 0;
};

template <int Parties>
void expect_good(std::vector<std::function<void(state<Parties>&)>> threads, unsigned phases,
                 unsigned preemptions) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = false;  // the books of a state are not the explorer's words
  const verdict v = explore<state<Parties>>(bounds, threads, [phases](state<Parties>& s) {
    require(s.completed == phases, "another number of phases");
    if (!ground::gone) s.destroy();  // ends the program when somebody still waits
  });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

template <int Phases>
constexpr auto take_part = [](auto& s) {
  for (int i = 0; i < Phases; ++i) s.arrive_and_wait();
};
template <int Phases>
constexpr auto take_part_in_steps = [](auto& s) {
  for (int i = 0; i < Phases; ++i) s.arrive_then_wait();
};
constexpr auto drop = [](auto& s) { s.drop(); };
constexpr auto take_part_then_drop = [](auto& s) {
  s.arrive_and_wait();
  s.drop();
};
constexpr auto arrive_only = [](auto& s) { static_cast<void>(s.arrive()); };
constexpr auto wait_in_time_then_again = [](auto& s) {
  const auto during = s.arrive();
  if (!s.wait_in_time(during)) s.wait(during);
};

TEST(RawBarrier, AllWaitForAll) {
  expect_good<2>({take_part<2>, take_part<2>}, 2, 4);
  expect_good<2>({take_part_in_steps<2>, take_part_in_steps<2>}, 2, 4);
  expect_good<3>({take_part<2>, take_part_in_steps<2>, take_part<2>}, 2, 2);
  expect_good<4>({take_part<1>, take_part<1>, take_part<1>, take_part<1>}, 1, 2);
}

TEST(RawBarrier, SomeOnlyArrive) {
  expect_good<3>({take_part<1>, take_part<1>, arrive_only}, 1, 3);
  expect_good<3>({take_part<1>, [](auto& s) { static_cast<void>(s.arrive(2)); }}, 1, 4);
}

TEST(RawBarrier, SomeDropOut) {
  expect_good<3>({take_part<2>, take_part<2>, drop}, 2, 3);
  expect_good<3>({take_part<3>, take_part<3>, take_part_then_drop}, 3, 2);
  expect_good<2>({drop, drop}, 1, 4);
}

TEST(RawBarrier, SomeGiveUp) {
  expect_good<2>({wait_in_time_then_again, take_part<1>}, 1, 4);
  expect_good<3>({wait_in_time_then_again, wait_in_time_then_again, take_part<1>}, 1, 3);
}

TEST(RawBarrier, WhoGoesOnMayDestroyIt) {
  const auto last_destroys = [](auto& s) {
    s.arrive_then_wait();
    if (s.gone_on.fetch_add(1) == 1) s.destroy();
  };
  expect_good<2>({last_destroys, last_destroys}, 1, 4);
  // The first, as well: the others are on their way out.
  const auto first_destroys = [](auto& s) {
    s.arrive_and_wait();
    if (s.gone_on.fetch_add(1) == 0) s.destroy();
  };
  expect_good<2>({first_destroys, first_destroys}, 1, 4);
  expect_good<3>({first_destroys, first_destroys, first_destroys}, 1, 3);
  // The one that waits destroys; the other has only arrived, and may not have returned.
  const auto destroys = [](auto& s) {
    s.arrive_and_wait();
    s.destroy();
  };
  expect_good<2>({destroys, arrive_only}, 1, 4);
  expect_good<3>({destroys, arrive_only, drop}, 1, 3);
}

}  // namespace
}  // namespace treadle::sync
