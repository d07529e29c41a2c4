// The word that promises stacks, with a tiny arena about it, in every interleaving.
#include "treadle/context/stack_ledger.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/interleave.hpp"

namespace treadle::context {
namespace {

TEST(StackLedger, PromisesWhatThereIs) {
  stack_ledger book;
  EXPECT_FALSE(book.try_promise(1));
  EXPECT_EQ(book.missing(1), 1);
  book.add_room(3);
  EXPECT_TRUE(book.try_promise(2));
  EXPECT_FALSE(book.try_promise(2));
  EXPECT_EQ(book.missing(2), 1);
  EXPECT_EQ(book.give_up(2), 2);
  EXPECT_TRUE(book.try_promise(3));
}

TEST(StackLedger, OwesSlackThatWasAskedForAheadOfSlots) {
  stack_ledger book;
  EXPECT_EQ(book.take_room(2), 0);
  EXPECT_EQ(book.room(), -2);
  EXPECT_EQ(book.missing(1), 3);
  book.add_room(3);
  EXPECT_TRUE(book.try_promise(1));
  EXPECT_FALSE(book.try_promise(1));
  EXPECT_EQ(book.promised(), 1);
}

TEST(StackLedger, LendsTheTrimmerOnlyWhatNobodyWasPromised) {
  stack_ledger book;
  book.add_room(4);
  EXPECT_TRUE(book.try_promise(2));
  EXPECT_FALSE(book.take_spare_room(3));
  EXPECT_TRUE(book.take_spare_room(2));
  EXPECT_FALSE(book.try_promise(1));
  book.add_room(2);
  EXPECT_TRUE(book.try_promise(1));
}

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

class explored_lock {
 public:
  void lock() {
    wait_until([this] { return held_.peek() == 0; }, "lock");
    held_.store(1);
  }
  void unlock() { held_.store(0); }

 private:
  explored_atomic<int> held_{0};
};

// As stack_arena uses it, with batches of one slot. `free` stands for warm, cold and fresh ones.
struct world {
  // A thread's stack, from its promise to its end.
  void promise() {
    if (book.try_promise(1)) return;
    growing.lock();
    while (!book.try_promise(1)) grow(book.missing(1));
    growing.unlock();
  }
  void grow(std::int64_t more) {
    for (; more > 0; --more) {
      free.fetch_add(1);
      ++guarded;
      book.add_room(1);
    }
  }
  void take() { require(free.fetch_sub(1) > 0, "promised, and not there"); }
  void put() { free.fetch_add(1); }
  void run_a_thread() {
    promise();
    take();
    put();
    book.give_up(1);
  }
  // A processor's cache, that keeps the stack of one that has ended for the next.
  void run_two_with_a_cache() {
    add_slack();
    promise();
    take();
    book.give_up(1);
    promise();
    book.give_up(1);
    put();
    book.add_room(1);
  }
  void add_slack() {
    growing.lock();
    if (book.take_room(1) != 0) {
      for (std::int64_t more = 0; (more = book.missing(0)) > 0;) grow(more);
    }
    growing.unlock();
  }
  void trim() {
    if (!book.take_spare_room(1)) return;
    give_back();
  }
  void give_back() {
    int seen = free.load();
    while (seen > 0 && !free.compare_exchange_strong(seen, seen - 1)) continue;
    if (seen > 0) free.fetch_add(1);
    book.add_room(1);
  }

  world() { grow(1); }

  basic_stack_ledger<explored_atomic> book;
  explored_lock growing;
  explored_atomic<int> free{0};
  int guarded = 0;  // under growing
};

void nothing_is_lost(world& s) {
  require(s.free.peek() == s.guarded, "a slot is lost");
  require(s.book.try_promise(static_cast<std::size_t>(s.guarded)), "room is lost");
  require(!s.book.try_promise(1), "room from nowhere");
}

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

void run_a_thread(world& s) { s.run_a_thread(); }
void run_two_with_a_cache(world& s) { s.run_two_with_a_cache(); }
void trim(world& s) { s.trim(); }
// Of three at once: every interleaving with so many preemptions at most.
constexpr interleave::options few{.preemptions_max = 2, .sleep_sets = false};
constexpr interleave::options many{.preemptions_max = 5, .sleep_sets = false};

TEST(StackLedger, WhoIsPromisedAStackFindsIt) {
  expect_good(explore<world>({}, {run_a_thread, run_a_thread}, nothing_is_lost));
  expect_good(explore<world>({}, {run_a_thread, trim}, nothing_is_lost));
  expect_good(explore<world>(few, {run_a_thread, run_a_thread, trim}, nothing_is_lost));
}

TEST(StackLedger, SlackDoesNotTakeWhatOthersArePromised) {
  expect_good(explore<world>(many, {run_two_with_a_cache, run_a_thread}, nothing_is_lost));
  expect_good(explore<world>({}, {run_two_with_a_cache, trim}, nothing_is_lost));
  expect_good(explore<world>(few, {run_two_with_a_cache, run_a_thread, trim}, nothing_is_lost));
}

// Of a trimmer that asks nobody: the tests can fail.
TEST(StackLedger, WithoutTheQuestionATrimmerTakesWhatWasPromised) {
  const verdict v = explore<world>({},
                                   {run_a_thread,
                                    [](world& s) {
                                      s.book.take_room(1);
                                      s.give_back();
                                    }},
                                   nothing_is_lost);
  EXPECT_FALSE(v.good());
}

}  // namespace
}  // namespace treadle::context
