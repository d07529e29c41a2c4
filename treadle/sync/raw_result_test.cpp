// Every interleaving, within a bound on preemptions, of waiters, a finisher and a watcher on one
// result. Parking is the explorer's. Each program runs twice: with the short form of a lone kernel
// thread, and with the long form only.
//
// Checked: nobody sleeps for ever or goes on too early, a watcher is called once or told that it
// will not be, and nothing of the result is touched once somebody has found it ready.
#include "treadle/sync/raw_result.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_result_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_ground;
using interleave::require;
using interleave::verdict;

constexpr base::deadline soon = base::deadline::at(1);
const std::stop_source asked_never;

template <class Ground>
struct state {
  using result = basic_result<Ground>;

  struct counting : result_watcher {
    explicit counting(state& owner) : home(owner) {
      notify = [](result_watcher& self) noexcept { ++static_cast<counting&>(self).home.notified; };
    }
    state& home;
  };

  state() {
    Ground::reset();
    ::new (memory) result;
  }
  result& it() { return *std::launder(reinterpret_cast<result*>(memory)); }

  void got() {
    Ground::end_wait();
    require(value == 1, "ready too early");
  }
  void finish() {
    value = 1;
    it().finish();
  }
  void wait() {
    it().wait();
    got();
  }
  bool wait_until_soon() {
    const bool ready = it().wait(soon);
    Ground::end_wait();
    require(!ready || value == 1, "ready too early");
    return ready;
  }
  bool wait_unless_stopped() {
    const bool ready = it().wait(base::wait_limit(asked_never.get_token()));
    Ground::end_wait();
    require(!ready || value == 1, "ready too early");
    return ready;
  }
  void watch() {
    if (!it().watch(watching)) {
      require(value == 1, "ready too early");
      ++notified;
    }
    ++watched;
  }
  void destroy() { Ground::gone = true; }
  void check() { require(notified == watched, "a watcher was not called once"); }

  alignas(result) std::byte memory[sizeof(result)];
  counting watching{*this};
  int value = 0;
  int notified = 0;
  int watched = 0;
  int done = 0;
};

template <class Ground>
class RawResult : public ::testing::Test {
 public:
  using program = std::vector<std::function<void(state<Ground>&)>>;

  static void expect_good(program threads, unsigned preemptions) {
    interleave::options bounds;
    bounds.preemptions_max = preemptions;
    bounds.sleep_sets = false;  // the books of a state are not the explorer's words
    const verdict v = explore<state<Ground>>(bounds, threads, [](state<Ground>& s) { s.check(); });
    EXPECT_TRUE(v.good()) << v.report();
  }
};

using grounds = ::testing::Types<explored_ground<interleave::watched_atomic>,
                                 explored_ground<interleave::watched_biased>>;
TYPED_TEST_SUITE(RawResult, grounds, );

constexpr auto finish = [](auto& s) { s.finish(); };
constexpr auto wait = [](auto& s) { s.wait(); };
constexpr auto watch = [](auto& s) { s.watch(); };
constexpr auto wait_until_soon = [](auto& s) { s.wait_until_soon(); };
constexpr auto wait_unless_stopped = [](auto& s) { s.wait_unless_stopped(); };

TYPED_TEST(RawResult, WaitersAreWoken) {
  this->expect_good({wait, finish}, interleave::unbounded);
  this->expect_good({wait, wait, finish}, 3);
  this->expect_good({wait, wait, wait, finish}, 2);
}

TYPED_TEST(RawResult, WhoGivesUpDisturbsNobody) {
  this->expect_good({wait_until_soon, finish}, interleave::unbounded);
  this->expect_good({wait_until_soon, wait, finish}, 3);
  this->expect_good({wait_unless_stopped, wait_until_soon, finish}, 3);
  this->expect_good({wait_unless_stopped, wait, wait, finish}, 2);
}

TYPED_TEST(RawResult, AWatcherIsCalledOnce) {
  this->expect_good({watch, finish}, interleave::unbounded);
  this->expect_good({watch, wait, finish}, 3);
  this->expect_good({watch, wait_until_soon, wait, finish}, 2);
}

TYPED_TEST(RawResult, TheLastToFindItReadyMayDestroyIt) {
  const auto wait_then_destroy = [](auto& s) {
    s.wait();
    s.destroy();
  };
  this->expect_good({wait_then_destroy, finish}, interleave::unbounded);
  const auto last_destroys = [](auto& s) {
    s.wait();
    if (++s.done == 2) s.destroy();
  };
  this->expect_good({last_destroys, last_destroys, finish}, 3);
  const auto in_time_or_again = [](auto& s) {
    if (!s.wait_until_soon()) s.wait();
    if (++s.done == 2) s.destroy();
  };
  this->expect_good({in_time_or_again, in_time_or_again, finish}, 3);
  const auto look_then_destroy = [](auto& s) {
    if (s.it().is_ready()) s.destroy();
  };
  this->expect_good({look_then_destroy, finish}, interleave::unbounded);
}

}  // namespace
}  // namespace treadle::sync
