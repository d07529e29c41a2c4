// barrier in every model: phases, completions, early arrivals, parties that leave or give up,
// foreign kernel threads.
#include <treadle/barrier.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <treadle/semaphore.hpp>
#include <utility>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Barrier : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Barrier, every_model, model_names);

static_assert(!std::is_copy_constructible_v<barrier<>>);
static_assert(!std::is_copy_assignable_v<barrier<>>);
static_assert(std::is_move_constructible_v<barrier<>::arrival_token>);
static_assert(std::is_move_assignable_v<barrier<>::arrival_token>);
static_assert(!std::is_copy_constructible_v<barrier<>::arrival_token>);
static_assert(barrier<>::max() > 0);

// Each party writes its cell in each phase; the completion, alone, looks at all of them.
TYPED_TEST(Barrier, PhasesAreSeparate) {
  this->in([] {
    constexpr std::size_t parties = 8;
    const std::size_t phases = scaled(400, true);
    std::vector<std::size_t> cells(parties, 0);  // plain: the barrier orders them
    std::size_t completed = 0;
    std::size_t broken = 0;
    barrier sync(parties, [&]() noexcept {
      ++completed;
      for (const std::size_t cell : cells) broken += cell == completed ? 0 : 1;
    });
    std::vector<thread> threads;
    for (std::size_t p = 0; p < parties; ++p) {
      threads.emplace_back([&, p] {
        for (std::size_t i = 0; i < phases; ++i) {
          ++cells[p];
          if ((i + p) % 7 == 0) this_thread::yield();
          sync.arrive_and_wait();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(completed, phases);
    EXPECT_EQ(broken, 0U);
  });
}

TYPED_TEST(Barrier, TheCompletionRunsOnceBeforeAnybodyGoesOn) {
  this->in([] {
    constexpr int parties = 10;
    const int phases = static_cast<int>(scaled(200, true));
    int completed = 0;  // plain
    std::atomic<int> broken{0};
    barrier sync(parties, [&completed] { ++completed; });
    std::vector<thread> threads;
    for (int p = 0; p < parties; ++p) {
      threads.emplace_back([&] {
        for (int i = 1; i <= phases; ++i) {
          sync.arrive_and_wait();
          if (completed != i) ++broken;
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(completed, phases);
    EXPECT_EQ(broken, 0);
  });
}

// It may wait itself, and others then wait for it.
TYPED_TEST(Barrier, ACompletionThatParks) {
  this->in([] {
    binary_semaphore go(0);
    bool done = false;
    const auto completion = [&] {
      go.acquire();
      done = true;
    };
    barrier sync(2, completion);
    const auto work = [&] {
      sync.arrive_and_wait();
      EXPECT_TRUE(done);
    };
    thread first(work);
    thread second(work);
    for (int i = 0; i < 10; ++i) this_thread::yield();
    go.release();
    first.join();
    second.join();
  });
}

TYPED_TEST(Barrier, ArriveEarlyWaitLate) {
  this->in([] {
    barrier sync(3);
    int written = 0;
    auto mine = sync.arrive(2);
    thread other([&] {
      written = 1;
      static_cast<void>(sync.arrive());
    });
    sync.wait(std::move(mine));
    EXPECT_EQ(written, 1);
    other.join();
    auto late = sync.arrive(3);  // ends the phase at once
    auto moved = std::move(late);
    sync.wait(std::move(moved));
  });
}

TYPED_TEST(Barrier, PartiesDropOut) {
  this->in([] {
    constexpr int parties = 6;
    int phases = 0;
    barrier sync(parties, [&phases] { ++phases; });
    std::vector<thread> threads;
    for (int p = 0; p < parties; ++p) {
      threads.emplace_back([&, p] {
        for (int i = 0; i < p; ++i) sync.arrive_and_wait();
        sync.arrive_and_drop();
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(phases, parties);
  });
}

// A party that is cancelled leaves its place, and the others go on.
TYPED_TEST(Barrier, AStoppedParty) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(50, true); ++i) {
      barrier sync(2);
      stop_source source;
      bool came = true;
      thread stopped([&] {
        auto arrival = sync.arrive();
        came = sync.try_wait(arrival, source.get_token());
        if (came) return;
        EXPECT_FALSE(sync.try_wait(arrival, 0s));
        static_cast<void>(std::move(arrival));
      });
      if (i % 2 == 0) this_thread::yield();
      source.request_stop();
      stopped.join();
      EXPECT_FALSE(came);
      sync.arrive_and_drop();  // ends the phase in which the other had arrived
      sync.arrive_and_wait();  // and now it is one party's
    }
  });
}

// Of the last arrival and a time-out exactly one wins, and the phase ends all the same.
TYPED_TEST(Barrier, TimeOutsAgainstTheLastArrival) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(300, true); ++i) {
      barrier sync(2);
      thread other([&] {
        if (i % 3 == 0) this_thread::yield();
        static_cast<void>(sync.arrive());
      });
      auto arrival = sync.arrive();
      if (!sync.try_wait(arrival, std::chrono::microseconds(i % 20))) {
        sync.wait(std::move(arrival));
      }
      other.join();
    }
  });
}

TYPED_TEST(Barrier, DestroyedRightAfterTheLastPhase) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(1000, true); ++i) {
      auto sync = std::make_unique<barrier<>>(2);
      thread other([it = sync.get()] { static_cast<void>(it->arrive()); });
      sync->arrive_and_wait();
      sync.reset();
      other.join();
    }
  });
}

TYPED_TEST(Barrier, ForeignKernelThreadsTakePart) {
  const std::size_t phases = scaled(200);
  std::size_t completed = 0;
  barrier sync(5, [&completed] { ++completed; });
  const auto work = [&] {
    for (std::size_t i = 0; i < phases; ++i) sync.arrive_and_wait();
  };
  std::thread first(work);
  std::thread second(work);
  this->in([&] {
    thread third(work);
    thread fourth(work);
    work();
    third.join();
    fourth.join();
  });
  first.join();
  second.join();
  EXPECT_EQ(completed, phases);
}

}  // namespace
}  // namespace treadle
