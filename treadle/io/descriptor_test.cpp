// A descriptor's readiness and its waiters, step by step on one kernel thread: the orders in which
// an event, a close and a wait can meet.
#include "treadle/io/descriptor.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/taken_threads.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {
namespace {

constexpr std::uint32_t readable = descriptor::readable;
constexpr std::uint32_t writable = descriptor::writable;
constexpr std::uint32_t watched = descriptor::watched;

// Reports nothing.
class still_poller final : public descriptor_poller {
 public:
  still_poller() noexcept : descriptor_poller(true) {}
  int open() noexcept override { return 0; }
  int watch(int, std::uint32_t) noexcept override { return 0; }
  bool unwatch(int, std::uint32_t, watch_kind, file_release*) noexcept override { return false; }
  bool in_use() const noexcept override { return false; }
  void poll(base::deadline) noexcept override {}
  void interrupt() noexcept override {}
};

class descriptor_test : public ::testing::Test {
 protected:
  std::uint32_t flags() const { return one.state.load(base::relaxed) & descriptor::flags; }
  std::uint32_t events() const { return one.state.load(base::relaxed) / descriptor::one_event; }

  descriptor_waiter& wait(std::uint32_t wanted) {
    waiters.push_back(std::make_unique<descriptor_waiter>());
    waiters.back()->who = &core::current_thread();
    waiters.back()->wanted = wanted;
    one.push(*waiters.back());
    return *waiters.back();
  }
  static wait_outcome outcome(const descriptor_waiter& node) {
    return node.outcome.load(base::relaxed);
  }

  // As the table's memory comes.
  descriptor one{};
  std::vector<std::unique_ptr<descriptor_waiter>> waiters;
};

TEST_F(descriptor_test, unknown_readiness_is_worth_a_try) {
  EXPECT_TRUE(descriptor::is_worth_a_try(flags(), readable));
  EXPECT_FALSE(descriptor::is_worth_a_try(watched, readable));
  EXPECT_FALSE(descriptor::is_worth_a_try(watched | writable, readable));
  EXPECT_TRUE(descriptor::is_worth_a_try(watched | writable, writable));
}

TEST_F(descriptor_test, event_wakes_those_who_want_it) {
  one.change_state(watched);
  descriptor_waiter& reader = wait(readable);
  descriptor_waiter& writer = wait(writable);
  descriptor_waiter& either = wait(readable | writable);
  one.deliver(0, readable);
  EXPECT_EQ(outcome(reader), wait_outcome::ready);
  EXPECT_EQ(outcome(writer), wait_outcome::waiting);
  EXPECT_EQ(outcome(either), wait_outcome::ready);
  EXPECT_EQ(flags(), watched | readable);
  EXPECT_EQ(events(), 1U);
  one.deliver(0, writable);
  EXPECT_EQ(outcome(writer), wait_outcome::ready);
  EXPECT_EQ(one.first, nullptr);
  EXPECT_EQ(one.last, nullptr);
}

TEST_F(descriptor_test, more_waiters_than_one_round_takes_are_all_woken) {
  one.change_state(watched);
  for (int i = 0; i < 100; ++i) wait(readable);
  one.deliver(0, readable);
  for (const auto& node : waiters) EXPECT_EQ(outcome(*node), wait_outcome::ready);
  EXPECT_EQ(events(), 1U);
}

// Else one event could keep its poller busy for ever.
TEST_F(descriptor_test, who_comes_back_waits_for_the_next_event) {
  constexpr int count = 40;  // more than one round takes
  one.change_state(watched);
  for (int i = 0; i < count; ++i) wait(readable);
  std::atomic<int> woken{0};
  std::atomic<bool> over{false};
  std::thread back([&] {
    while (!over.load()) {
      for (const auto& node : waiters) {
        // acquire: pairs with the one who woke it
        if (node->outcome.load(base::acquire) != wait_outcome::ready) continue;
        const base::guard hold(one.lock);
        node->outcome.store(wait_outcome::waiting, base::relaxed);  // relaxed: under the lock
        one.push(*node);
        ++woken;
      }
    }
  });
  for (int round = 1; round <= 200; ++round) {
    one.deliver(0, readable);
    while (woken.load() < round * count) std::this_thread::yield();
  }
  over = true;
  back.join();
  EXPECT_EQ(woken.load(), 200 * count);
}

// Else nobody would end the new watch when the descriptor is closed.
TEST_F(descriptor_test, who_watches_again_while_others_are_told_is_watched) {
  still_poller poller;
  std::atomic<bool> over{false};
  std::atomic<int> amid{0};
  std::thread back([&] {
    while (!over.load()) {
      const base::guard hold(one.lock);
      if (one.home != nullptr || one.first == nullptr) continue;
      one.home = &poller;
      one.change_state(one.state.load(base::relaxed) | watched);  // relaxed: under the lock
      ++amid;
    }
  });
  for (int round = 0; round < 10'000 && amid.load() == 0; ++round) {
    waiters.clear();
    {
      const base::guard hold(one.lock);
      for (int i = 0; i < 1000; ++i) wait(readable);
      one.home = &poller;
      one.change_state(watched);
    }
    one.leave(poller);
  }
  over = true;
  back.join();
  if (amid.load() == 0) GTEST_SKIP() << "nobody came in between";
  EXPECT_EQ(one.home, &poller);
  EXPECT_EQ(flags(), watched);
}

// As a poller does for the events that it has got together.
TEST_F(descriptor_test, several_share_the_list_of_those_to_be_woken) {
  constexpr std::size_t each = 12;  // two descriptors have more than one round takes
  std::vector<std::unique_ptr<descriptor_waiter>> others;
  descriptor second{};
  for (descriptor* which : {&one, &second}) {
    which->change_state(watched);
    for (std::size_t i = 0; i < each; ++i) {
      others.push_back(std::make_unique<descriptor_waiter>());
      others.back()->who = &core::current_thread();
      others.back()->wanted = i == 0 ? writable : readable;
      which->push(*others.back());
    }
  }
  second.warm_up_waiter();
  taken_threads taken;
  one.deliver(0, readable, taken);
  EXPECT_FALSE(taken.is_full());
  second.deliver(0, readable, taken);
  taken.wake();
  for (std::size_t i = 0; i < others.size(); ++i) {
    EXPECT_EQ(outcome(*others[i]), i % each == 0 ? wait_outcome::waiting : wait_outcome::ready);
  }
  for (const descriptor* which : {&one, &second}) {
    EXPECT_EQ(which->first, which->last);
    EXPECT_EQ(which->state.load(base::relaxed) / descriptor::one_event, 1U);
  }
}

TEST_F(descriptor_test, event_of_an_earlier_lifetime_is_dropped) {
  one.change_state(watched);
  descriptor_waiter& before = wait(readable);
  one.begin_lifetime();
  EXPECT_EQ(outcome(before), wait_outcome::closed);
  EXPECT_EQ(one.lifetime.load(base::relaxed), 1U);
  EXPECT_EQ(flags(), 0U);
  descriptor_waiter& after = wait(readable);
  one.deliver(0, readable);
  EXPECT_EQ(outcome(after), wait_outcome::waiting);
  one.deliver(1, readable);
  EXPECT_EQ(outcome(after), wait_outcome::ready);
}

TEST_F(descriptor_test, short_read_says_drained_unless_an_event_came) {
  one.change_state(watched | readable | writable);
  std::uint32_t seen = one.state.load(base::relaxed);
  one.note_drained(seen);
  EXPECT_EQ(flags(), watched | writable);
  one.deliver(0, readable);
  seen = one.state.load(base::relaxed);
  one.deliver(0, readable);
  one.note_drained(seen);
  EXPECT_EQ(flags(), watched | readable | writable);
}

TEST_F(descriptor_test, short_read_says_nothing_after_an_end_or_urgent_data) {
  one.change_state(watched);
  one.deliver(0, readable | descriptor::unusual);
  one.note_drained(one.state.load(base::relaxed));
  EXPECT_NE(flags() & readable, 0U);
}

TEST_F(descriptor_test, wait_ends_once) {
  descriptor_waiter& stopped = wait(readable);
  descriptor_waiter& given_up = wait(readable);
  descriptor_waiter& woken = wait(readable);
  one.stop(stopped);
  EXPECT_EQ(outcome(stopped), wait_outcome::stopped);
  EXPECT_FALSE(one.give_up(stopped));
  EXPECT_TRUE(one.give_up(given_up));
  one.deliver(0, readable);
  EXPECT_EQ(outcome(given_up), wait_outcome::given_up);
  EXPECT_EQ(outcome(woken), wait_outcome::ready);
  one.stop(woken);
  EXPECT_EQ(outcome(woken), wait_outcome::ready);
  EXPECT_FALSE(one.give_up(woken));
}

// A stop may come until its callback is gone, after a wait has been given up.
TEST_F(descriptor_test, a_stop_of_who_has_given_up_leaves_others_alone) {
  descriptor_waiter& given_up = wait(readable);
  EXPECT_TRUE(one.give_up(given_up));
  descriptor_waiter& next = wait(readable);
  one.stop(given_up);
  EXPECT_EQ(outcome(given_up), wait_outcome::given_up);
  EXPECT_EQ(one.first, &next);
  one.deliver(0, readable);
  EXPECT_EQ(outcome(next), wait_outcome::ready);
}

}  // namespace
}  // namespace treadle::io
