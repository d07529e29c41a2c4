// this_thread in every model: yield, sleeping, errno. Sleeps are held to what they promise (never
// too short), not to how punctual they are.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class ThisThread : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ThisThread, every_model, model_names);

TYPED_TEST(ThisThread, YieldAloneReturns) {
  this->in([] {
    for (int i = 0; i < 1000; ++i) this_thread::yield();
  });
  for (int i = 0; i < 1000; ++i) this_thread::yield();  // a foreign kernel thread
}

TYPED_TEST(ThisThread, YieldLetsEveryOtherThreadRun) {
  this->in([] {
    constexpr int count = 20;
    std::atomic<int> arrived{0};
    std::vector<thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&arrived] {
        arrived.fetch_add(1);
        // Nobody gets past here unless the others get their turns.
        eventually([&arrived] { return arrived == count; });
      });
    }
    for (thread& t : threads) t.join();
  });
}

TYPED_TEST(ThisThread, SleepIsNeverTooShort) {
  this->in([] {
    for (const auto span : {1us, 100us, 1000us, 3000us}) {
      const auto before = steady_clock::now();
      this_thread::sleep_for(span);
      EXPECT_GE(steady_clock::now() - before, span);
      const auto until = steady_clock::now() + span;
      this_thread::sleep_until(until);
      EXPECT_GE(steady_clock::now(), until);
    }
  });
}

TYPED_TEST(ThisThread, SleepUntilWallClockIsNeverTooShort) {
  this->in([] {
    const auto until = std::chrono::system_clock::now() + 2ms;
    this_thread::sleep_until(until);
    EXPECT_GE(std::chrono::system_clock::now(), until);
  });
}

TYPED_TEST(ThisThread, SpansThatAreOverReturn) {
  this->in([] {
    this_thread::sleep_for(0s);
    this_thread::sleep_for(-1h);
    this_thread::sleep_for(std::chrono::nanoseconds::min());
    this_thread::sleep_for(std::chrono::duration<double>(-1e30));
    this_thread::sleep_until(steady_clock::now() - 1h);
    this_thread::sleep_until(steady_clock::time_point::min());
    this_thread::sleep_until(std::chrono::system_clock::now() - 1h);
    this_thread::sleep_until(std::chrono::system_clock::time_point());
    this_thread::sleep_until(std::chrono::system_clock::time_point::min());
  });
}

TYPED_TEST(ThisThread, FractionalAndOddUnits) {
  this->in([] {
    const auto before = steady_clock::now();
    const std::chrono::duration<double, std::milli> span(0.75);
    this_thread::sleep_for(span);
    EXPECT_GE(steady_clock::now() - before, span);
    using third = std::chrono::duration<long, std::ratio<1, 3000>>;
    const auto again = steady_clock::now();
    this_thread::sleep_for(third(1));
    EXPECT_GE(steady_clock::now() - again, third(1));
  });
}

TYPED_TEST(ThisThread, ForeignKernelThreadsSleepToo) {
  const auto before = steady_clock::now();
  this_thread::sleep_for(1ms);
  EXPECT_GE(steady_clock::now() - before, 1ms);
  this_thread::sleep_until(steady_clock::time_point::min());
}

TYPED_TEST(ThisThread, SleepersWakeBesideABusyYielder) {
  this->in([] {
    std::atomic<int> asleep{20};
    std::vector<thread> sleepers;
    for (int i = 0; i < 20; ++i) {
      sleepers.emplace_back([&asleep, i] {
        this_thread::sleep_for(std::chrono::microseconds(i * 97));
        asleep.fetch_sub(1);
      });
    }
    eventually([&asleep] { return asleep == 0; });
    for (thread& t : sleepers) t.join();
  });
}

TYPED_TEST(ThisThread, ManySleepersAtOnce) {
  this->in([] {
    const std::size_t count = scaled(5000, TestFixture::own_kernel_threads);
    std::atomic<std::size_t> early{0};
    std::vector<thread> sleepers;
    for (std::size_t i = 0; i < count; ++i) {
      sleepers.emplace_back([&early, i] {
        const auto until = steady_clock::now() + std::chrono::microseconds(i * 7919 % 20'000);
        this_thread::sleep_until(until);
        if (steady_clock::now() < until) early.fetch_add(1);
      });
    }
    for (thread& t : sleepers) t.join();
    EXPECT_EQ(early, 0U);
  });
}

// Not inlined: compilers keep the address of errno over calls, and a thread that goes on on
// another kernel thread would then look at the wrong one.
[[gnu::noinline]] int get_errno() { return errno; }
[[gnu::noinline]] void set_errno(int value) { errno = value; }

TYPED_TEST(ThisThread, ErrnoBelongsToTheThread) {
  this->in([] {
    constexpr int count = 24;
    std::atomic<int> wrong{0};
    mutex contended;
    std::vector<thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        if (get_errno() != 0) wrong.fetch_add(1);  // a new thread starts at 0
        set_errno(1000 + i);
        for (std::size_t round = 0; round < scaled(200); ++round) {
          switch (round % 4) {
            case 0:
              this_thread::yield();
              break;
            case 1:
              this_thread::sleep_for(std::chrono::microseconds(i));
              break;
            case 2: {
              const std::lock_guard hold(contended);
              this_thread::yield();
              break;
            }
            default:
              break;
          }
          if (get_errno() != 1000 + i) wrong.fetch_add(1);
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(wrong, 0);
  });
}

TYPED_TEST(ThisThread, ErrnoSurvivesMakingAndJoiningThreads) {
  this->in([] {
    for (int i = 0; i < 200; ++i) {
      set_errno(77);
      thread t([] { set_errno(5); });
      ASSERT_EQ(get_errno(), 77);
      t.join();
      ASSERT_EQ(get_errno(), 77);
    }
  });
  set_errno(78);  // a foreign kernel thread that waits
  this->in([] { set_errno(6); });
  EXPECT_EQ(get_errno(), 78);
}

}  // namespace
}  // namespace treadle
