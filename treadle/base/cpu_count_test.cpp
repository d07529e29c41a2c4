// No step is lost and none comes late, whatever CPU a kernel thread is on and however often columns
// are taken back while others count.
#include "treadle/base/cpu_count.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <array>

namespace treadle::base {
namespace {

constexpr int counters = 4;
constexpr int steps = 3'000'000;
constexpr int steps_before_moving = 5'000;

struct shared_state {
  atomic<cpu_column> word{0};
  atomic<int> running{counters};
  std::array<std::int64_t, counters> net{};
};

struct counter {
  shared_state* shared;
  int number;
};

void move_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof(one), &one);  // that CPU may not be ours: then we stay
}

void* count(void* argument) {
  const counter& mine = *static_cast<counter*>(argument);
  std::int64_t net = 0;
  for (int step = 0; step < steps; ++step) {
    if (step % steps_before_moving == 0) move_to((step / steps_before_moving + mine.number) % 2);
    // Two up, one down.
    const bool up = step % 3 != 2;
    if (count_here(mine.shared->word, up)) net += up ? 1 : -1;
  }
  mine.shared->net[static_cast<std::size_t>(mine.number)] = net;
  mine.shared->running.fetch_sub(1, release);  // pairs with the test's load
  return nullptr;
}

TEST(CpuCount, AddsUp) {
  cpu_column column = lend_cpu_column();
  if (column == 0) GTEST_SKIP() << "no restartable sequences here";
  shared_state shared;
  std::array<counter, counters> all{};
  std::array<pthread_t, counters> threads{};
  for (int i = 0; i < counters; ++i) {
    counter& one = all[static_cast<std::size_t>(i)];
    one = {&shared, i};
    ASSERT_EQ(pthread_create(&threads[static_cast<std::size_t>(i)], nullptr, count, &one), 0);
  }
  std::int64_t sum = 0;
  while (shared.running.load(acquire) != 0) {  // pairs with count()
    shared.word.store(column, release);
    for (int i = 0; i < 50; ++i) spin_hint();
    shared.word.store(0, relaxed);  // relaxed: the fence of end_count() is what counts
    sum += end_count(column);
    column = lend_cpu_column();
    ASSERT_NE(column, 0U);
    sched_yield();
    ASSERT_EQ(sum_of(column), 0) << "somebody has counted after the end";
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  std::int64_t net = 0;
  for (const std::int64_t each : shared.net) net += each;
  EXPECT_EQ(sum, net);
  EXPECT_EQ(drop_count(column), 0);
}

TEST(CpuCount, CountsNothingWithoutAColumn) {
  const atomic<cpu_column> none{0};
  EXPECT_FALSE(count_here(none, true));
  EXPECT_FALSE(count_here(none, false));
}

TEST(CpuCount, ThereIsAnEndOfColumns) {
  std::array<cpu_column, 1024> lent{};
  std::size_t count = 0;
  while (count < lent.size() && (lent[count] = lend_cpu_column()) != 0) {
    for (std::size_t i = 0; i < count; ++i) ASSERT_NE(lent[i], lent[count]);
    ++count;
  }
  EXPECT_LT(count, lent.size());
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(drop_count(lent[i]), 0);
  const cpu_column again = lend_cpu_column();
  EXPECT_EQ(again != 0, count != 0);
  if (again != 0) {
    EXPECT_EQ(drop_count(again), 0);
  }
}

}  // namespace
}  // namespace treadle::base
