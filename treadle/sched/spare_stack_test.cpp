// Every interleaving of takers and givers of spares.
#include "treadle/sched/spare_stack.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

#include "tests/support/interleave.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

constexpr std::uint32_t members = 3;

// The same without the count of changes.
class forgetful_stack {
 public:
  template <class BelowOf>
  void push(std::uint32_t number, BelowOf&& below_of) {
    std::uint32_t top = top_.load();
    do {
      below_of(number).store(top);
    } while (!top_.compare_exchange_strong(top, number));
  }
  template <class BelowOf>
  std::uint32_t pop(BelowOf&& below_of) {
    std::uint32_t top = top_.load();
    while (top != 0 && !top_.compare_exchange_strong(top, below_of(top).load())) continue;
    return top;
  }

 private:
  explored_atomic<std::uint32_t> top_{0};
};

template <class Stack>
struct world {
  world() {
    for (std::uint32_t number = 1; number <= members; ++number) spares.push(number, below_of());
  }
  auto below_of() {
    return [this](std::uint32_t number) -> auto& { return below[number - 1]; };
  }
  std::uint32_t take() {
    const std::uint32_t number = spares.pop(below_of());
    if (number == 0) return 0;
    require(taken[number - 1].exchange(1) == 0, "two have the same");
    return number;
  }
  void give(std::uint32_t number) {
    if (number == 0) return;
    taken[number - 1].store(0);
    spares.push(number, below_of());
  }

  Stack spares;
  std::array<explored_atomic<std::uint32_t>, members> below;
  std::array<explored_atomic<int>, members> taken;
};

template <class Stack>
void take_and_give(world<Stack>& s) {
  s.give(s.take());
}
// Takes two and gives back the first: the same top with another below it.
template <class Stack>
void keep_the_second(world<Stack>& s) {
  const std::uint32_t first = s.take();
  static_cast<void>(s.take());
  s.give(first);
}
template <class Stack>
void check_all(world<Stack>& s) {
  std::uint32_t there = 0;
  for (auto& one : s.taken) there += one.load() == 0 ? 1 : 0;
  for (; there != 0; --there) require(s.take() != 0, "one is lost");
  require(s.take() == 0, "one too many");
}

template <class Stack>
verdict explore_two() {
  using tried = world<Stack>;
  return explore<tried>({}, {take_and_give<Stack>, keep_the_second<Stack>}, check_all<Stack>);
}

TEST(SpareStack, NobodyIsTakenTwiceAndNobodyIsLost) {
  const verdict v = explore_two<basic_spare_stack<explored_atomic>>();
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(SpareStack, AmongThree) {
  using tried = world<basic_spare_stack<explored_atomic>>;
  const verdict v = explore<tried>({.preemptions_max = 3},
                                   {take_and_give<basic_spare_stack<explored_atomic>>,
                                    keep_the_second<basic_spare_stack<explored_atomic>>,
                                    take_and_give<basic_spare_stack<explored_atomic>>},
                                   check_all<basic_spare_stack<explored_atomic>>);
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

// Without the count a top that was away is taken for the same: the test can fail.
TEST(SpareStack, WithoutTheCountOneIsTakenTwice) {
  EXPECT_FALSE(explore_two<forgetful_stack>().good());
}

}  // namespace
}  // namespace treadle::core
