// In what order a carrier runs tasks: who was woken last goes before the ring, but keeps nobody
// from it, and is not left behind by a carrier that does not come back.
//
// Orders are exact where there is one kernel thread and nobody preempts, in m:1.
#include <treadle/blocking_region.hpp>
#include <treadle/co.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::in_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class TaskTurns : public in_model<Model> {};
TYPED_TEST_SUITE(TaskTurns, every_model, model_names);

using InManyToOne = in_model<testing_support::configuration<model::many_to_one, 1>>;

// ---- before the ring ----

task<> notes_after(binary_semaphore& gate, int number, std::vector<int>& order) {
  co_await co::acquire(gate);
  order.push_back(number);
}

task<> notes(int number, std::vector<int>& order) {
  order.push_back(number);
  co_return;
}

TEST_F(InManyToOne, WhoWasWokenLastRunsBeforeTheRing) {
  std::vector<int> order;
  this->in([&order] {
    block_on([](std::vector<int>& into) -> task<> {
      binary_semaphore first(0);
      binary_semaphore second(0);
      std::vector<task_handle<>> all;
      all.push_back(spawn(notes_after(first, 1, into)));
      all.push_back(spawn(notes_after(second, 2, into)));
      co_await co::yield();  // both wait
      for (int number = 10; number < 15; ++number) all.push_back(spawn(notes(number, into)));
      first.release();
      second.release();
      for (auto& each : all) co_await std::move(each);
    }(order));
  });
  EXPECT_EQ(order, (std::vector<int>{2, 10, 11, 12, 13, 14, 1}));
}

// ---- nobody starves ----

struct pair {
  binary_semaphore sides[2] = {binary_semaphore(0), binary_semaphore(0)};
  std::atomic<bool> over{false};
  std::atomic<std::size_t> wakes{0};
};

task<> wakes_the_other(pair& with, int side) {
  while (!with.over.load()) {
    with.wakes.fetch_add(1);
    with.sides[1 - side].release();
    co_await co::acquire(with.sides[side]);
  }
  with.sides[1 - side].release();
}

// The other may have released without being waited for.
task<> two_that_wake_each_other(pair& with) {
  std::vector<task_handle<>> both;
  const auto begins = [](pair& in) -> task<> {
    co_await co::acquire(in.sides[1]);
    co_await wakes_the_other(in, 1);
  };
  both.push_back(spawn(begins(with)));
  both.push_back(spawn(wakes_the_other(with, 0)));
  for (auto& each : both) co_await std::move(each);
}

TYPED_TEST(TaskTurns, TwoThatWakeEachOtherStarveNoThird) {
  this->in([] {
    const std::size_t turns = scaled(1000);
    pair talkers;
    const auto ends_it = [](pair& of, std::size_t yields) -> task<std::size_t> {
      const std::size_t before = of.wakes.load();
      for (std::size_t turn = 0; turn < yields; ++turn) co_await co::yield();
      const std::size_t meanwhile = of.wakes.load() - before;
      for (int times = 0; times < 3; ++times) co_await co::sleep_for(1ms);
      of.over.store(true);
      co_return meanwhile;
    };
    auto both = spawn(two_that_wake_each_other(talkers));
    auto third = spawn(ends_it(talkers, turns));
    const std::size_t meanwhile = third.join();
    both.join();
    // Of so many turns in a row one is the ring's.
    if (TestFixture::kind == model::many_to_one) {
      EXPECT_LE(meanwhile, 8 * turns);
    }
  });
}

// The same who is woken by a timer, and by a thread.
TYPED_TEST(TaskTurns, TwoThatWakeEachOtherStarveNoThread) {
  this->in([] {
    pair talkers;
    counting_semaphore<> turn(0);
    const auto answers = [](counting_semaphore<>& on, int times) -> task<> {
      for (int time = 0; time < times; ++time) co_await co::acquire(on);
    };
    auto both = spawn(two_that_wake_each_other(talkers));
    auto third = spawn(answers(turn, 20));
    for (int time = 0; time < 20; ++time) {
      turn.release();
      this_thread::yield();
    }
    third.join();
    talkers.over.store(true);
    both.join();
  });
}

// ---- carriers that do not come back ----

// Each wakes a task that waits, and then keeps the thread until that one has gone on.
TYPED_TEST(TaskTurns, WhoWasWokenGoesOnWhileItsWakerBlocks) {
  this->in([] {
    enum class by { semaphore, thread, region };
    const auto answers = [](counting_semaphore<>& on, binary_semaphore& back, int end,
                            std::atomic<int>& waits) -> task<> {
      waits.store(1);
      co_await co::acquire(on);
      back.release();
      EXPECT_EQ(::write(end, "a", 1), 1);
    };
    const auto blocks = [&](by how) -> task<> {
      counting_semaphore<> turn(0);
      binary_semaphore back(0);
      std::atomic<int> waits{0};
      int ends[2];
      EXPECT_EQ(::pipe(ends), 0);
      auto other = spawn(answers(turn, back, ends[1], waits));
      while (waits.load() == 0) co_await co::yield();
      co_await co::yield();
      turn.release();
      if (how == by::semaphore) back.acquire();
      if (how == by::thread) thread([&] { back.acquire(); }).join();
      if (how == by::region) {
        const blocking_region here;
        char byte = 0;
        EXPECT_EQ(::read(ends[0], &byte, 1), 1);
      }
      co_await std::move(other);
      ::close(ends[0]);
      ::close(ends[1]);
    };
    for (std::size_t round = 0; round < scaled(20); ++round) {
      block_on(blocks(by::semaphore));
      block_on(blocks(by::thread));
      // In m:1 there is nobody to go on while the kernel thread waits.
      if (TestFixture::kind != model::many_to_one) block_on(blocks(by::region));
    }
  });
}

// Woken by the last one of all, when the runtime has been told to end.
TYPED_TEST(TaskTurns, WhoWasWokenRunsBeforeTheRuntimeEnds) {
  for (std::size_t round = 0; round < scaled(50, TestFixture::own_kernel_threads); ++round) {
    constexpr int links = 8;
    std::vector<binary_semaphore*> gates;
    for (int i = 0; i <= links; ++i) gates.push_back(new binary_semaphore(0));
    std::atomic<int> done{0};
    {
      runtime own(TypeParam::options());
      own.run([&] {
        const auto passes_on = [](binary_semaphore& mine, binary_semaphore& next,
                                  std::atomic<int>& count) -> task<> {
          co_await co::acquire(mine);
          count.fetch_add(1);
          next.release();
        };
        for (int i = 0; i < links; ++i) {
          const auto at = static_cast<std::size_t>(i);
          spawn(passes_on(*gates[at], *gates[at + 1], done)).detach();
        }
        const auto begins = [](binary_semaphore& first) -> task<> {
          co_await co::yield();
          first.release();
        };
        spawn(begins(*gates[0])).detach();
      });
    }
    EXPECT_EQ(done.load(), links);
    for (binary_semaphore* each : gates) delete each;
  }
}

}  // namespace
}  // namespace treadle
