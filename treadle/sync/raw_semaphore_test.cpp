// Every interleaving, within a bound on preemptions, of up to four threads on one semaphore:
// taking, waiting alone and in the list, leaving early, and releasing to one or many. Parking is
// the explorer's. Each program runs twice: with the short form of a lone kernel thread, and with
// the long form only.
//
// Checked: no permit is made up or lost, nobody sleeps while there is one, those who wait come
// before those who only try, a semaphore may be destroyed by whoever got its last permit, and it is
// plainly counted in the end.
#include "treadle/sync/raw_semaphore.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_semaphore_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_ground;
using interleave::require;
using interleave::verdict;

constexpr base::deadline never = base::deadline::never();
constexpr base::deadline soon = base::deadline::at(1);
constexpr base::deadline too_soon = interleave::explored_ground<>::too_soon;
const std::stop_source asked_never;

template <class Ground, int Permits>
struct state {
  using semaphore = basic_semaphore<Ground>;

  state() {
    Ground::reset();
    ::new (memory) semaphore(Permits);
  }
  // Not destroyed with the state: a schedule that is given up may leave waiters in it.
  semaphore& it() { return *std::launder(reinterpret_cast<semaphore*>(memory)); }

  void took() {
    const bool waited = Ground::end_wait();
    require(++taken <= Permits + given, "a permit from nowhere");
    require(waited || Permits + given - taken >= Ground::waiting(), "a waiter was passed over");
  }
  bool left() {
    Ground::end_wait();
    return false;
  }
  void acquire() {
    static_cast<void>(it().acquire(never));
    took();
  }
  bool acquire_until(base::deadline until) {
    if (!it().acquire(until)) return left();
    took();
    return true;
  }
  bool acquire_unless_stopped() {
    if (!it().acquire(base::wait_limit(asked_never.get_token()))) return left();
    took();
    return true;
  }
  bool try_acquire() {
    if (!it().try_acquire()) return false;
    took();
    return true;
  }
  void release(int count) {
    given += count;
    it().release(count);
  }
  // The caller has the last permit.
  void destroy() {
    it().~semaphore();
    Ground::gone = true;
  }
  void check() {
    if (Ground::gone) return;
    for (int left = Permits + given - taken; left > 0; --left) {
      require(it().try_acquire(), "a permit is lost");
    }
    require(!it().try_acquire(), "a permit too many");
    it().~semaphore();  // ends the program when somebody still waits
  }

  alignas(semaphore) std::byte memory[sizeof(semaphore)];
  int taken = 0;
  int given = 0;
  int done = 0;
};

template <class Ground>
struct with {
  static inline std::uint64_t schedules = 0;

  template <int Permits>
  using at = state<Ground, Permits>;

  template <int Permits>
  static void expect_good(std::vector<std::function<void(at<Permits>&)>> threads,
                          unsigned preemptions) {
    interleave::options bounds;
    bounds.preemptions_max = preemptions;
    bounds.sleep_sets = false;  // the books of a state are not the explorer's words
    const verdict v = explore<at<Permits>>(bounds, threads, [](at<Permits>& s) { s.check(); });
    EXPECT_TRUE(v.good()) << v.report();
    schedules += v.schedules;
    testing::Test::RecordProperty("schedules", std::to_string(schedules));
  }
};

template <class Ground>
class RawSemaphore : public ::testing::Test {};

using grounds = ::testing::Types<explored_ground<interleave::watched_atomic>,
                                 explored_ground<interleave::watched_biased>>;
TYPED_TEST_SUITE(RawSemaphore, grounds, );

constexpr auto acquire = [](auto& s) { s.acquire(); };
template <int Count>
constexpr auto release = [](auto& s) { s.release(Count); };
constexpr auto pass_on = [](auto& s) {
  s.acquire();
  s.release(1);
};
// Who has left early may not have taken a permit along.
constexpr auto pass_on_in_time = [](auto& s) {
  if (s.acquire_until(soon)) s.release(1);
};
constexpr auto pass_on_unless_stopped = [](auto& s) {
  if (s.acquire_unless_stopped()) s.release(1);
};
constexpr auto leave = [](auto& s) {
  if (s.acquire_until(too_soon)) s.release(1);
};
constexpr auto try_and_pass_on = [](auto& s) {
  if (s.try_acquire()) s.release(1);
};

TYPED_TEST(RawSemaphore, OneTakesWhatAnotherGives) {
  using run = with<TypeParam>;
  run::template expect_good<0>({acquire, release<1>}, interleave::unbounded);
  run::template expect_good<0>({acquire, release<2>}, interleave::unbounded);
  run::template expect_good<1>({pass_on, pass_on}, interleave::unbounded);
  run::template expect_good<0>({try_and_pass_on, release<1>}, interleave::unbounded);
  run::template expect_good<0>({pass_on_in_time, release<1>}, interleave::unbounded);
  run::template expect_good<0>({pass_on_unless_stopped, release<1>}, interleave::unbounded);
}

TYPED_TEST(RawSemaphore, TwoWaitersAndTheirPermits) {
  using run = with<TypeParam>;
  run::template expect_good<0>({acquire, acquire, release<2>}, 4);
  run::template expect_good<0>({pass_on, pass_on, release<1>}, 4);
  run::template expect_good<1>({pass_on, pass_on, pass_on}, 3);
  run::template expect_good<0>({acquire, acquire, release<1>, release<1>}, 3);
  run::template expect_good<0>({acquire, acquire, release<3>, try_and_pass_on}, 2);
}

TYPED_TEST(RawSemaphore, ThreeWaiters) {
  using run = with<TypeParam>;
  run::template expect_good<0>({acquire, acquire, acquire, release<3>}, 2);
  run::template expect_good<0>({acquire, pass_on, pass_on, release<2>}, 2);
}

TYPED_TEST(RawSemaphore, WhoLeavesTakesNothingAlong) {
  using run = with<TypeParam>;
  run::template expect_good<0>({pass_on_in_time, pass_on, release<1>}, 4);
  run::template expect_good<0>({pass_on_unless_stopped, pass_on, release<1>}, 4);
  run::template expect_good<0>({pass_on_in_time, pass_on_unless_stopped, release<1>}, 4);
  run::template expect_good<0>({pass_on_in_time, pass_on, release<1>, try_and_pass_on}, 2);
  run::template expect_good<0>({pass_on_in_time, pass_on_unless_stopped, pass_on, release<1>}, 2);
  run::template expect_good<0>({pass_on_in_time, pass_on, pass_on, release<1>}, 2);
}

TYPED_TEST(RawSemaphore, AllLeave) {
  using run = with<TypeParam>;
  run::template expect_good<0>({leave, leave}, interleave::unbounded);
  run::template expect_good<0>({leave, leave, leave}, 3);
  run::template expect_good<0>({leave, leave, release<1>}, 3);
  run::template expect_good<1>({leave, leave, pass_on}, 3);
}

// First come, first served.
TYPED_TEST(RawSemaphore, OneWhoGivesGivesInOrder) {
  using run = with<TypeParam>;
  const auto give_in_order = [](auto& s) {
    TypeParam::in_order = true;
    s.release(1);
    s.release(2);
  };
  run::template expect_good<0>({acquire, acquire, acquire, give_in_order}, 2);
  run::template expect_good<0>({acquire, acquire, leave, give_in_order}, 2);
}

TYPED_TEST(RawSemaphore, TheLastToTakeMayDestroyIt) {
  using run = with<TypeParam>;
  const auto acquire_then_destroy = [](auto& s) {
    s.acquire();
    s.destroy();
  };
  run::template expect_good<0>({acquire_then_destroy, release<1>}, interleave::unbounded);
  const auto last_destroys = [](auto& s) {
    s.acquire();
    if (++s.done == 2) s.destroy();
  };
  run::template expect_good<0>({last_destroys, last_destroys, release<2>}, 4);
  run::template expect_good<0>({last_destroys, last_destroys, release<1>, release<1>}, 3);
  const auto in_time_or_again = [](auto& s) {
    if (!s.acquire_until(soon)) s.acquire();
    if (++s.done == 2) s.destroy();
  };
  run::template expect_good<0>({in_time_or_again, in_time_or_again, release<2>}, 3);
}

}  // namespace
}  // namespace treadle::sync
