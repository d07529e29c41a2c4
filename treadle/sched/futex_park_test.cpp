// Every interleaving of a kernel thread that parks with limits, one time after another, and of
// those who wake it, also late: a waker is overtaken between its token and its wake of the futex.
#include "treadle/sched/futex_park.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "tests/support/interleave.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

#if defined(TREADLE_TSAN) || defined(TREADLE_ASAN)
constexpr unsigned switches_max = 4;  // guess: a second or two
#else
constexpr unsigned switches_max = interleave::unbounded;
#endif

using explored_token = basic_token<explored_atomic>;

// Ends by a wake, whatever the word says, or by the clock.
struct explored_token_futex {
  static inline bool passed = false;
  static void wait(const explored_token& permit, base::deadline until) {
    passed = !until.is_never() && interleave::choose(2) == 1;
    if (!passed && permit.word().load() == explored_token::asleep) {
      interleave::detail::block_on(&permit.word());
    }
  }
  static bool has_passed(base::deadline) { return passed; }
};

// Takes every wake for its own.
struct gullible_sleep {
  static bool on_token(explored_token& permit, base::deadline until) {
    if (!permit.fall_asleep()) return true;
    explored_token_futex::wait(permit, until);
    return !explored_token_futex::passed || !permit.stay_awake();
  }
};
struct right_sleep {
  static bool on_token(explored_token& permit, base::deadline until) {
    return sleep_on_token<explored_token, explored_token_futex>(permit, until);
  }
};

template <class Sleep>
struct world {
  // As one_to_one::park().
  void park(base::deadline until) {
    if (permit.consume()) return;
    const bool token = Sleep::on_token(permit, until);
    require(permit.word().peek() != explored_token::asleep, "awake, and yet asleep");
    require(token || explored_token_futex::passed, "neither woken nor timed out");
  }
  // First with a limit, then without.
  void wait_for_all() {
    for (auto& one : said) {
      if (one.load() != 0) continue;
      park(base::deadline::at(1));
      while (one.load() == 0) park(base::deadline::never());
    }
  }
  // As scheduler_port::unpark_slowly().
  void say(std::size_t which) {
    said[which].store(1);
    bool asleep = false;
    require(!permit.unpark(&asleep), "a kernel thread was taken for a parked one");
    if (asleep) interleave::detail::notify(&permit.word(), false);
  }

  explored_token permit;
  std::array<explored_atomic<int>, 2> said;
};

template <class Sleep>
verdict explore_parks() {
  using parks = world<Sleep>;
  return explore<parks>(
      {.preemptions_max = switches_max},
      {[](parks& s) { s.wait_for_all(); }, [](parks& s) { s.say(0); }, [](parks& s) { s.say(1); }},
      [](parks&) {});
}

TEST(FutexPark, NoTokenIsLostAndNoLateWakeEndsAPark) {
  const verdict v = explore_parks<right_sleep>();
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}
// The test can fail.
TEST(FutexPark, ALateWakeEndsTheParkOfWhoDoesNotLookAgain) {
  EXPECT_EQ(explore_parks<gullible_sleep>().fault, "awake, and yet asleep");
}

}  // namespace
}  // namespace treadle::core
