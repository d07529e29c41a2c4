// Every interleaving of the children of one group that leave it: one is the last, it sees what all
// did, and nobody else touches the group after it.
#include "treadle/task/countdown.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <vector>

#include "tests/support/explored_ground.hpp"

namespace treadle::tasks {
namespace {

using interleave::explore;
using interleave::explored_plain;
using interleave::ground_state;
using interleave::require;
using interleave::verdict;

template <class Word>
struct group {
  group() {
    ground_state::reset();
    count.start(children);
  }
  void run(std::size_t child) {
    results[child].set(1);
    if (!count.leave()) return;
    require(!was_last, "two are the last");
    was_last = true;
    for (std::size_t i = 0; i < children; ++i) {
      require(results[i].get() == 1, "the last one came before another's end");
    }
    ground_state::gone = true;  // the parent goes on
  }

  static inline std::size_t children = 0;
  basic_countdown<Word> count;
  explored_plain<int> results[4];
  bool was_last = false;
};

template <class Word>
class Countdown : public ::testing::Test {};
using words = ::testing::Types<interleave::watched_atomic<std::uint64_t>,
                               interleave::watched_biased<std::uint64_t>>;
TYPED_TEST_SUITE(Countdown, words, );

TYPED_TEST(Countdown, OneIsTheLast) {
  using state = group<TypeParam>;
  for (std::size_t children = 1; children <= 4; ++children) {
    state::children = children;
    std::vector<std::function<void(state&)>> threads;
    for (std::size_t child = 0; child < children; ++child) {
      threads.push_back([child](state& s) { s.run(child); });
    }
    interleave::options bounds;
    bounds.sleep_sets = false;  // the books of a state are not the explorer's words
    if (children > 2) bounds.preemptions_max = 3;
    bounds.spurious_failures_max = 1;
    const verdict v = explore<state>(bounds, threads,
                                     [](state& s) { require(s.was_last, "nobody was the last"); });
    EXPECT_TRUE(v.good()) << v.report();
  }
}

}  // namespace
}  // namespace treadle::tasks
