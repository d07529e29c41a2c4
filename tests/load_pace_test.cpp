// The times of the load that measures servers (bench/peers): no message waits for anything but the
// answer before it on its connection.
#include "bench/peers/cpp/load_pace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace treadle::bench {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t look_every = 701;  // ns from a look at the clock to the next: every phase
constexpr std::int64_t answer_after = 20'000;  // of the server in these tests
constexpr std::int64_t uptime = 26'011'317'845'123;

/// As load_pace, with times that are added up in seconds. What it does wrong is what is tested.
class adding_pace {
 public:
  adding_pace(std::int64_t begin, std::int64_t end, std::int64_t per_second,
              std::size_t connections)
      : rate_(static_cast<double>(per_second)),
        end_(static_cast<double>(end) * 1e-9),
        next_due_(static_cast<double>(begin) * 1e-9),
        lanes_(connections) {
    for (std::size_t i = 0; i < connections; ++i) {
      lanes_[i].due = next_due_ + static_cast<double>(i) / rate_;
    }
  }

  template <class F>
  void send_due(std::int64_t now, F send) {
    const double at = static_cast<double>(now) * 1e-9;
    for (; next_due_ <= at && next_due_ < end_; next_due_ += 1 / rate_) {
      lane& one = lanes_[next_];
      if (!one.under_way && one.due <= at) {
        one.under_way = true;
        send(next_);
      }
      next_ = (next_ + 1) % lanes_.size();
    }
  }

  template <class F>
  std::int64_t answered(std::size_t which, std::int64_t now, F send) {
    lane& one = lanes_[which];
    const double at = static_cast<double>(now) * 1e-9;
    const double latency = at - one.due;
    one.due += static_cast<double>(lanes_.size()) / rate_;
    one.under_way = one.due <= at;
    if (one.under_way) send(which);
    return static_cast<std::int64_t>(latency * 1e9);
  }

 private:
  struct lane {
    double due = 0;
    bool under_way = false;
  };
  double rate_;
  double end_;
  double next_due_;
  std::size_t next_ = 0;
  std::vector<lane> lanes_;
};

/// The latencies that a pace reports of a server that answers each message after the same time.
template <class Pace>
std::vector<std::int64_t> latencies_of(std::int64_t per_second, std::size_t connections,
                                       std::int64_t span = second) {
  Pace pace(uptime, uptime + span, per_second, connections);
  std::vector<std::int64_t> found;
  std::deque<std::pair<std::int64_t, std::size_t>> under_way;  // when it is answered, and where
  std::int64_t now = uptime;
  const auto send = [&](std::size_t which) { under_way.emplace_back(now + answer_after, which); };
  for (; now < uptime + span + 2 * answer_after; now += look_every) {
    pace.send_due(now, send);
    while (!under_way.empty() && under_way.front().first <= now) {
      const std::size_t which = under_way.front().second;
      under_way.pop_front();
      found.push_back(pace.answered(which, now, send));
    }
  }
  return found;
}

struct load {
  std::int64_t per_second;
  std::size_t connections;
};
constexpr load loads[] = {{5'000, 1},      {20'000, 64},    {20'000, 1000},
                          {20'000, 10000}, {19'997, 1'000}, {3, 2}};

TEST(LoadPace, EveryMessageIsSentWhenItIsDue) {
  for (const auto& [per_second, connections] : loads) {
    const auto found = latencies_of<load_pace>(per_second, connections);
    EXPECT_EQ(found.size(), static_cast<std::size_t>(per_second)) << connections;
    EXPECT_LE(*std::max_element(found.begin(), found.end()), answer_after + 2 * look_every)
        << connections;
  }
}

TEST(LoadPace, TimesThatAreAddedUpWouldHaveMessagesWaitForALap) {
  const auto found = latencies_of<adding_pace>(20'000, 1000);
  const std::int64_t lap = second / 20;
  const auto late =
      std::count_if(found.begin(), found.end(), [&](auto each) { return each >= lap; });
  EXPECT_GT(late, 0) << "the looks at the clock above do not find it any more";
}

TEST(LoadPace, AMessageBehindASlowAnswerCountsFromItsOwnTime) {
  load_pace pace(0, second, 10, 1);  // every 100 ms
  int sent = 0;
  const auto send = [&](std::size_t) { ++sent; };
  pace.send_due(0, send);
  pace.send_due(250'000'000, send);  // two more are due, behind the first
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(pace.answered(0, 260'000'000, send), 260'000'000);
  EXPECT_EQ(sent, 2);
  EXPECT_EQ(pace.answered(0, 270'000'000, send), 170'000'000);
  EXPECT_EQ(pace.answered(0, 280'000'000, send), 80'000'000);
  EXPECT_EQ(sent, 3);
  pace.send_due(299'999'999, send);
  EXPECT_EQ(sent, 3);
  pace.send_due(300'000'000, send);
  EXPECT_EQ(sent, 4);
}

TEST(LoadPace, WhatIsNeverAnsweredCountsWithTheTimeThatItHasWaited) {
  load_pace pace(0, 400'000'000, 10, 2);  // four messages, two a connection
  const auto send = [](std::size_t) {};
  pace.send_due(150'000'000, send);
  EXPECT_EQ(pace.answered(1, 150'000'000, send), 50'000'000);
  pace.send_due(500'000'000, send);
  EXPECT_TRUE(pace.is_under_way(0));
  EXPECT_TRUE(pace.is_under_way(1));
  std::vector<std::int64_t> waited;
  pace.unanswered(500'000'000, [&](std::int64_t span) { waited.push_back(span); });
  EXPECT_EQ(waited, (std::vector<std::int64_t>{500'000'000, 300'000'000, 200'000'000}));
}

TEST(LoadPace, NothingIsSentAfterTheEnd) {
  load_pace pace(0, 100, 1'000'000'000, 1);  // one each nanosecond
  int sent = 0;
  const auto send = [&](std::size_t) { ++sent; };
  pace.send_due(50, send);
  for (int answer = 0; answer < 99; ++answer) pace.answered(0, 1000, send);
  EXPECT_EQ(sent, 100);
  pace.answered(0, 1000, send);
  pace.send_due(2000, send);
  EXPECT_EQ(sent, 100);
}

}  // namespace
}  // namespace treadle::bench
