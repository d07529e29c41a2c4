// Every interleaving, within a bound on preemptions, of threads that add to one wait group, take
// from it, wait for it, give up waiting, and destroy it after the last wait. Parking is the
// explorer's. Each program runs twice: with the short form of a lone kernel thread, and with the
// long form only.
//
// Checked: nobody goes on before all is done, nobody sleeps after it, and nothing is touched after
// its end.
#include "treadle/sync/raw_wait_group.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_wait_group_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::require;
using interleave::verdict;

template <class Ground>
struct state {
  using group = basic_wait_group<Ground>;

  state() {
    Ground::reset();
    ::new (memory) group(count);
    left = count;
  }
  // Not destroyed with the state: a schedule that is given up may leave waiters in it.
  group& it() { return *std::launder(reinterpret_cast<group*>(memory)); }

  void done(int pieces = 1) {
    left -= pieces;
    it().done(pieces);
  }
  void add_and_do() {
    ++left;
    it().add(1);
    done(2);
  }
  void went_on() {
    Ground::end_wait();
    require(left == 0, "went on before all was done");
  }
  void wait() {
    it().wait();
    went_on();
  }
  bool wait_in_time() {
    const bool all = it().wait(base::wait_limit(std::chrono::nanoseconds(1)));
    if (all) {
      went_on();
    } else {
      Ground::end_wait();
    }
    return all;
  }
  void destroy() {
    it().~group();
    Ground::gone = true;
  }
  void check() {
    if (Ground::gone) return;
    require(it().try_wait(), "not all is done in the end");
    destroy();  // ends the program when somebody still waits
  }

  static inline int count = 0;
  alignas(group) std::byte memory[sizeof(group)];
  int left = 0;
};

template <class Ground>
class RawWaitGroup : public ::testing::Test {
 protected:
  using at = state<Ground>;

  void expect_good(int count, std::vector<std::function<void(at&)>> threads, unsigned preemptions) {
    interleave::options bounds;
    bounds.preemptions_max = preemptions;
    bounds.sleep_sets = false;  // the books of a state are not the explorer's words
    at::count = count;
    const verdict v = explore<at>(bounds, threads, [](at& s) { s.check(); });
    EXPECT_TRUE(v.good()) << v.report();
  }
};

using grounds = ::testing::Types<
    interleave::explored_ground<interleave::watched_atomic, interleave::explored_lock_with_end>,
    interleave::explored_ground<interleave::watched_biased, interleave::explored_lock_with_end>>;
TYPED_TEST_SUITE(RawWaitGroup, grounds, );

constexpr auto wait = [](auto& s) { s.wait(); };
constexpr auto done = [](auto& s) { s.done(); };
constexpr auto add_and_do = [](auto& s) { s.add_and_do(); };
constexpr auto wait_in_time = [](auto& s) { s.wait_in_time(); };

TYPED_TEST(RawWaitGroup, WaitsForAll) {
  this->expect_good(0, {wait, wait}, interleave::unbounded);
  this->expect_good(1, {wait, done}, interleave::unbounded);
  this->expect_good(2, {wait, done, done}, 4);
  this->expect_good(2, {wait, wait, done, done}, 2);
}

TYPED_TEST(RawWaitGroup, MoreMayCome) {
  this->expect_good(1, {wait, add_and_do}, 6);
  this->expect_good(2, {wait, add_and_do, done}, 3);
  this->expect_good(2, {wait, wait_in_time, add_and_do, done}, 2);
}

TYPED_TEST(RawWaitGroup, WaitersGiveUp) {
  this->expect_good(1, {wait_in_time, done}, interleave::unbounded);
  this->expect_good(1, {wait_in_time, wait_in_time, wait, done}, 2);
}

// It counts up again as soon as it was zero.
TYPED_TEST(RawWaitGroup, IsUsedAgain) {
  const auto twice = [](auto& s) {
    s.wait();
    ++s.left;
    s.it().add(1);
    s.done();
    s.wait();
  };
  this->expect_good(1, {twice, done}, 5);
}

TYPED_TEST(RawWaitGroup, WhoHasWaitedMayDestroyIt) {
  const auto wait_then_destroy = [](auto& s) {
    s.wait();
    s.destroy();
  };
  const auto in_time_then_destroy = [](auto& s) {
    if (!s.wait_in_time()) s.wait();
    s.destroy();
  };
  const auto poll_then_destroy = [](auto& s) {
    if (s.it().try_wait()) s.destroy();
  };
  this->expect_good(1, {wait_then_destroy, done}, interleave::unbounded);
  this->expect_good(2, {wait_then_destroy, done, done}, 4);
  this->expect_good(2, {in_time_then_destroy, done, done}, 3);
  this->expect_good(2, {poll_then_destroy, done, done}, 4);
}

}  // namespace
}  // namespace treadle::sync
