// Every interleaving, within a bound on preemptions, of threads that set, reset and wait for one
// event of either kind, give up waiting for it, and destroy it after the last wait. Parking is the
// explorer's.
//
// Checked: nobody sleeps while it is set, one set of an auto-reset event lets go one, none of them
// is lost, and nothing is touched after its end.
#include "treadle/sync/raw_event.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_event_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::require;
using interleave::verdict;
using ground =
    interleave::explored_ground<interleave::watched_atomic, interleave::explored_lock_with_end>;

template <event_kind Kind>
struct state {
  using event = basic_event<ground, Kind>;

  state() {
    ground::reset();
    ::new (memory) event(false);
  }
  // Not destroyed with the state: a schedule that is given up may leave waiters in it.
  event& it() { return *std::launder(reinterpret_cast<event*>(memory)); }

  void set() {
    ++sets;
    it().set();
  }
  void went_on() {
    ground::end_wait();
    ++waits;
    require(sets > 0, "nobody has set it");
    if (Kind == event_kind::auto_reset) require(waits <= sets, "one set let go two");
  }
  void wait() {
    it().wait();
    went_on();
  }
  bool wait_in_time() {
    if (it().wait(base::wait_limit(std::chrono::nanoseconds(1)))) {
      went_on();
      return true;
    }
    ground::end_wait();
    return false;
  }
  bool try_wait() {
    if (!it().try_wait()) return false;
    went_on();
    return true;
  }
  void destroy() {
    it().~event();
    ground::gone = true;
  }

  alignas(event) std::byte memory[sizeof(event)];
  int sets = 0;
  int waits = 0;
};

template <event_kind Kind>
void expect_good(
    std::vector<std::function<void(state<Kind>&)>> threads, unsigned preemptions,
    std::function<void(state<Kind>&)> check = [](state<Kind>&) {}) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = false;  // the books of a state are not the explorer's words
  const verdict v = explore<state<Kind>>(bounds, threads, [&check](state<Kind>& s) {
    check(s);
    if (!ground::gone) s.destroy();  // ends the program when somebody still waits
  });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

constexpr auto manual = event_kind::manual_reset;
constexpr auto one_shot = event_kind::auto_reset;
constexpr auto wait = [](auto& s) { s.wait(); };
constexpr auto set = [](auto& s) { s.set(); };
constexpr auto pass_on = [](auto& s) {
  s.wait();
  s.set();
};
constexpr auto pass_on_in_time = [](auto& s) {
  if (s.wait_in_time()) s.set();
};
constexpr auto try_and_pass_on = [](auto& s) {
  if (s.try_wait()) s.set();
};
constexpr auto try_wait = [](auto& s) { s.try_wait(); };
constexpr auto wait_in_time = [](auto& s) { s.wait_in_time(); };
constexpr auto wait_then_destroy = [](auto& s) {
  s.wait();
  s.destroy();
};

TEST(RawEvent, ManualResetLetsGoAll) {
  const auto still_set = [](state<manual>& s) { require(s.it().is_set(), "no longer set"); };
  expect_good<manual>({wait, set}, 6, still_set);
  expect_good<manual>({wait, wait, set}, 4, still_set);
  expect_good<manual>({wait, wait_in_time, try_wait, set}, 3, still_set);
  expect_good<manual>({wait, set,
                       [](auto& s) {
                         s.it().reset();
                         s.set();
                       }},
                      4);
}

// One set goes round: it is never doubled and never lost.
const auto one_is_left = [](state<one_shot>& s) {
  require(s.it().is_set(), "a set is lost");
  require(s.waits + 1 == s.sets, "a set was doubled");
};

TEST(RawEvent, AutoResetLetsGoOne) {
  expect_good<one_shot>({wait, set}, 6,
                        [](state<one_shot>& s) { require(!s.it().is_set(), "used up by none"); });
  expect_good<one_shot>({pass_on, pass_on, set}, 4, one_is_left);
  expect_good<one_shot>({pass_on, pass_on, pass_on, set}, 2, one_is_left);
  expect_good<one_shot>({try_and_pass_on, pass_on, set}, 4, one_is_left);
}

TEST(RawEvent, ASetIsNotLostToWhoGivesUp) {
  expect_good<one_shot>({pass_on_in_time, set}, 6, one_is_left);
  expect_good<one_shot>({pass_on_in_time, pass_on, set}, 4, one_is_left);
  expect_good<one_shot>({pass_on_in_time, pass_on_in_time, pass_on, set}, 2, one_is_left);
}

TEST(RawEvent, WhoHasWaitedMayDestroyIt) {
  expect_good<manual>({wait_then_destroy, set}, interleave::unbounded);
  expect_good<one_shot>({wait_then_destroy, set}, interleave::unbounded);
  const auto in_time_then_destroy = [](auto& s) {
    if (!s.wait_in_time()) s.wait();
    s.destroy();
  };
  expect_good<manual>({in_time_then_destroy, set}, 5);
  expect_good<one_shot>({in_time_then_destroy, set}, 5);
  const auto poll_then_destroy = [](auto& s) {
    if (s.it().try_wait()) s.destroy();
  };
  expect_good<manual>({poll_then_destroy, set}, 5);
}

}  // namespace
}  // namespace treadle::sync
