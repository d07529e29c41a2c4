// The timer wheel against a sorted reference: random inserts, removals and steps of the clock, near
// and far; the edges of its rows and of the clock.
#include "treadle/queue/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace treadle::queue {
namespace {

constexpr std::int64_t tick = std::int64_t{1} << 20;
constexpr std::int64_t last = timer_wheel::no_deadline;

// A wheel that is checked at every step.
class checked_wheel {
 public:
  explicit checked_wheel(std::size_t nodes) : all(nodes) {}

  bool is_queued(std::size_t index) const { return all[index].place != base::timer_node::unqueued; }

  void insert(std::size_t index, std::int64_t deadline, std::int64_t now) {
    all[index].deadline = deadline;
    reference_.emplace(deadline, index);
    wheel_->insert(&all[index], now);
    EXPECT_TRUE(is_queued(index));
    check();
  }

  void remove(std::size_t index) {
    forget(index);
    wheel_->remove(&all[index]);
    EXPECT_FALSE(is_queued(index));
    check();
  }

  // Takes all that are due, and sees that it was all, and in order.
  std::size_t advance(std::int64_t now, std::size_t pops_max = ~std::size_t{0}) {
    std::size_t count = 0;
    for (; count < pops_max; ++count) {
      base::timer_node* node = wheel_->pop_expired(now);
      const bool any = !reference_.empty() && reference_.begin()->first <= now;
      EXPECT_EQ(node != nullptr, any);
      if (node == nullptr || !any) break;
      EXPECT_EQ(node->deadline, reference_.begin()->first);
      const auto index = static_cast<std::size_t>(node - all.data());
      EXPECT_FALSE(is_queued(index));
      forget(index);
      check();
    }
    if (count < pops_max) {
      EXPECT_GT(wheel_->earliest(), now);
    }
    return count;
  }

  std::int64_t bound() const { return wheel_->earliest(); }
  std::int64_t first() const { return reference_.empty() ? last : reference_.begin()->first; }
  bool empty() const { return reference_.empty(); }

 private:
  void forget(std::size_t index) {
    auto at = reference_.lower_bound(all[index].deadline);
    while (at->second != index) {
      ++at;
    }
    reference_.erase(at);
  }
  void check() const {
    EXPECT_EQ(wheel_->empty(), reference_.empty());
    EXPECT_LE(bound(), first());
    if (empty()) {
      EXPECT_EQ(bound(), last);
    }
  }

  std::vector<base::timer_node> all;
  // On the heap and not cleared, so that a sanitizer would see an empty bucket read.
  std::unique_ptr<timer_wheel> wheel_{new timer_wheel};
  std::multimap<std::int64_t, std::size_t> reference_;
};

class TimerWheelSpan : public testing::TestWithParam<int> {};

// Deadlines up to 2^parameter ns away, and a clock that goes as fast.
TEST_P(TimerWheelSpan, AgreesWithASortedReference) {
  constexpr std::size_t nodes = 200;
  constexpr int rounds = 20'000;
  const int bits = GetParam();
  for (const unsigned seed : {1U, 2U, 3U}) {
    std::mt19937_64 random(seed + 100 * static_cast<unsigned>(bits));
    checked_wheel timers(nodes);
    std::int64_t now = static_cast<std::int64_t>(random() >> (64 - bits));
    const auto some = [&](int most) {  // of any magnitude
      return static_cast<std::int64_t>(random() >>
                                       (64 - 1 - random() % static_cast<unsigned>(most)));
    };
    const auto later = [&](std::int64_t from, std::int64_t span) {
      return span < last - from ? from + span : last - 1;
    };
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
      const std::size_t index = random() % nodes;
      if (timers.is_queued(index)) {
        if (random() % 2 == 0) timers.remove(index);
      } else {
        // Sometimes with an old time, and sometimes due already.
        const std::int64_t known = random() % 4 == 0 ? now / 2 : now;
        const std::int64_t deadline = random() % 16 == 0 ? now - some(20) : later(now, some(bits));
        timers.insert(index, deadline, known);
      }
      switch (random() % 16) {
        case 0:
          now = later(now, some(bits - 6));
          timers.advance(now);
          break;
        case 1:  // to the next one, exactly
          if (!timers.empty() && timers.first() > now) {
            timers.advance(timers.first() - 1);
            now = timers.first();
            timers.advance(now);
          }
          break;
        case 2:  // a look by somebody who has read the clock before others
          timers.advance(now - some(24), 3);
          break;
        case 3:
          now = later(now, some(21));
          timers.advance(now, 2);
          break;
        default:
          break;
      }
      if (now >= last / 2) break;
    }
    timers.advance(last - 1);
    EXPECT_TRUE(timers.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Spans, TimerWheelSpan,
                         testing::Values(8, 20, 21, 27, 30, 31, 33, 36, 40, 45, 50, 58, 62),
                         testing::PrintToStringParamName());

TEST(TimerWheel, EveryDistanceFromEveryAlignment) {
  std::vector<std::int64_t> points;
  for (int bit = 0; bit < 62; ++bit) {
    for (const std::int64_t off : {-1, 0, 1}) {
      points.push_back((std::int64_t{1} << bit) + off);
      points.push_back((std::int64_t{3} << (bit > 0 ? bit - 1 : 0)) + off);
    }
  }
  for (const std::int64_t start : points) {
    for (const std::int64_t distance : points) {
      if (distance > last - 1 - start) continue;
      checked_wheel timers(2);
      timers.insert(0, start, 0);  // keeps the clock of the wheel at 0 until it fires
      timers.insert(1, start + distance, start);
      ASSERT_EQ(timers.bound(), timers.first());
      timers.advance(start);
      if (distance > 0) {
        ASSERT_EQ(timers.bound(), start + distance);
        ASSERT_EQ(timers.advance(start + distance - 1), 0U);
        ASSERT_EQ(timers.advance(start + distance), 1U);
      }
      ASSERT_FALSE(testing::Test::HasFailure()) << start << " + " << distance;
    }
  }
}

TEST(TimerWheel, EqualDeadlines) {
  constexpr std::size_t nodes = 1000;
  checked_wheel timers(nodes);
  for (std::size_t i = 0; i < nodes; ++i) timers.insert(i, 5 * tick, 7);
  for (std::size_t i = 0; i < nodes; i += 3) timers.remove(i);
  EXPECT_EQ(timers.advance(5 * tick - 1), 0U);
  EXPECT_EQ(timers.advance(5 * tick), nodes - (nodes + 2) / 3);
}

TEST(TimerWheel, TheEndOfTimeAndBeforeItsBeginning) {
  checked_wheel timers(4);
  timers.insert(0, last, 0);
  timers.insert(1, last - 1, tick);
  timers.insert(2, -1, tick);
  timers.insert(3, std::numeric_limits<std::int64_t>::min(), tick);
  EXPECT_EQ(timers.advance(0), 2U);
  EXPECT_EQ(timers.advance(last - 2), 0U);
  EXPECT_EQ(timers.advance(last - 1), 1U);
  timers.remove(0);
}

// A bucket's bound may be that of a node that has gone: a look at that time finds nothing, and
// knows better after it.
TEST(TimerWheel, ABoundThatIsTooLowIsMendedByOneLook) {
  checked_wheel timers(3);
  timers.insert(0, 5000 * tick, 0);
  timers.insert(1, 5001 * tick, 0);
  timers.insert(2, 9000 * tick, 0);
  timers.remove(0);
  EXPECT_EQ(timers.bound(), 5000 * tick);
  EXPECT_EQ(timers.advance(5000 * tick), 0U);
  EXPECT_EQ(timers.bound(), 5001 * tick);
  timers.remove(1);
  EXPECT_EQ(timers.advance(5001 * tick), 0U);
  EXPECT_EQ(timers.bound(), 9000 * tick);
  timers.remove(2);
  EXPECT_EQ(timers.bound(), last);
}

}  // namespace
}  // namespace treadle::queue
