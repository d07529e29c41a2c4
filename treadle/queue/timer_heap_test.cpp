// The timer heap against a sorted reference, over random inserts and removals; and the two lists.
#include "treadle/queue/timer_heap.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

#include "treadle/base/chain.hpp"
#include "treadle/queue/inject_queue.hpp"

namespace treadle::queue {
namespace {

TEST(TimerHeap, AgreesWithASortedReference) {
  constexpr std::size_t nodes = 300;
  constexpr int rounds = 60'000;
  for (const unsigned seed : {1U, 2U, 3U}) {
    std::mt19937 random(seed);
    std::vector<base::timer_node> all(nodes);
    std::vector<bool> queued(nodes, false);
    std::multimap<std::int64_t, base::timer_node*> reference;
    timer_heap heap;
    for (int round = 0; round < rounds; ++round) {
      base::timer_node* node = &all[random() % nodes];
      if (random() % 4 == 0 && !heap.empty()) node = heap.first();
      const auto index = static_cast<std::size_t>(node - all.data());
      queued[index] = !queued[index];
      if (!queued[index]) {
        auto at = reference.lower_bound(node->deadline);
        while (at->second != node) {
          ++at;
        }
        reference.erase(at);
        heap.remove(node);
      } else {
        node->deadline = static_cast<std::int64_t>(random() % 50);  // many ties
        reference.emplace(node->deadline, node);
        heap.insert(node);
      }
      ASSERT_EQ(heap.empty(), reference.empty());
      if (!heap.empty()) {
        ASSERT_EQ(heap.first()->deadline, reference.begin()->first);
        ASSERT_TRUE(queued[static_cast<std::size_t>(heap.first() - all.data())]);
      }
    }
    std::int64_t last = 0;
    std::size_t left = 0;
    for (; !heap.empty(); ++left) {
      base::timer_node* first = heap.first();
      ASSERT_GE(first->deadline, last);
      last = first->deadline;
      heap.remove(first);
    }
    EXPECT_EQ(left, reference.size());
  }
}

struct linked {
  int number = 0;
  linked* link = nullptr;
};

TEST(Chain, KeepsOrder) {
  std::vector<linked> items(5);
  for (int i = 0; i < 5; ++i) {
    items[static_cast<std::size_t>(i)].number = i;
  }
  base::chain<linked> first;
  base::chain<linked> second;
  first.append(second);
  EXPECT_TRUE(first.empty());
  first.push_back(&items[1]);
  first.push_front(items.data());
  second.push_back(&items[2]);
  second.push_front(&items[3]);
  first.append(second);
  EXPECT_TRUE(second.empty());
  EXPECT_EQ(second.size(), 0U);
  second.push_back(&items[4]);  // its ends were reset
  first.append(second);
  EXPECT_EQ(first.size(), 5U);
  for (const int expected : {0, 1, 3, 2, 4}) {
    ASSERT_FALSE(first.empty());
    EXPECT_EQ(first.pop_front()->number, expected);
  }
  EXPECT_EQ(first.pop_front(), nullptr);
  EXPECT_EQ(first.size(), 0U);
}

TEST(InjectQueue, EveryItemComesOutOnceAndInProducerOrder) {
  constexpr int producers = 3;
  constexpr int each = 20'000;
  std::vector<std::vector<linked>> items(producers, std::vector<linked>(each));
  inject_queue<linked> queue;
  std::vector<std::thread> threads;
  for (auto& mine : items) {
    threads.emplace_back([&queue, &mine] {
      for (int i = 0; i < each; ++i) {
        mine[static_cast<std::size_t>(i)].number = i;
        queue.push(&mine[static_cast<std::size_t>(i)]);
      }
    });
  }
  std::vector<int> next(producers, 0);
  for (int taken = 0; taken < producers * each;) {
    base::chain<linked> some = queue.pop(7);
    ASSERT_LE(some.size(), 7U);
    while (linked* one = some.pop_front()) {
      ++taken;
      for (std::size_t p = 0; p < producers; ++p) {
        if (one >= items[p].data() && one < items[p].data() + each) {
          ASSERT_EQ(one->number, next[p]++);
        }
      }
    }
    if (some.empty()) std::this_thread::yield();
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(queue.looks_empty());
  EXPECT_TRUE(queue.pop(1).empty());
}

}  // namespace
}  // namespace treadle::queue
