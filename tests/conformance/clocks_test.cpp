// Waits until a point of a clock that goes more slowly than the monotonic one, in every model: none
// gives up before that clock has got there.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <treadle/condition_variable.hpp>
#include <treadle/future.hpp>
#include <treadle/mutex.hpp>
#include <treadle/priority_inheritance_mutex.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/shared_mutex.hpp>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;

// A quarter of the monotonic clock's pace, in a unit of its own.
struct slow_clock {
  using duration = std::chrono::duration<double, std::micro>;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<slow_clock>;
  [[maybe_unused]] static constexpr bool is_steady = true;
  static time_point now() {
    return time_point(std::chrono::steady_clock::now().time_since_epoch() / 4);
  }
};

template <class Model>
class Clocks : public testing_support::in_model<Model> {
 protected:
  // `wait` takes a point in time and returns false when that was reached.
  template <class Wait>
  static void gives_up_in_time(Wait wait) {
    const slow_clock::time_point point = slow_clock::now() + 1ms;
    EXPECT_FALSE(wait(point));
    EXPECT_GE(slow_clock::now(), point);
  }
};
TYPED_TEST_SUITE(Clocks, every_model, model_names);

template <class Lock>
void holds_while(Lock& lock, const auto& then) {
  lock.lock();
  thread(then).join();
  lock.unlock();
}

TYPED_TEST(Clocks, TimedMutexes) {
  this->in([] {
    timed_mutex plain;
    holds_while(plain, [&] {
      TestFixture::gives_up_in_time([&](auto point) { return plain.try_lock_until(point); });
    });
    recursive_timed_mutex recursive;
    holds_while(recursive, [&] {
      TestFixture::gives_up_in_time([&](auto point) { return recursive.try_lock_until(point); });
    });
    priority_inheritance_mutex inheriting;
    holds_while(inheriting, [&] {
      TestFixture::gives_up_in_time([&](auto point) { return inheriting.try_lock_until(point); });
    });
    shared_timed_mutex shared;
    holds_while(shared, [&] {
      TestFixture::gives_up_in_time([&](auto point) { return shared.try_lock_until(point); });
      TestFixture::gives_up_in_time(
          [&](auto point) { return shared.try_lock_shared_until(point); });
    });
    EXPECT_TRUE(plain.try_lock_until(slow_clock::now() - 1h));
    plain.unlock();
  });
}

TYPED_TEST(Clocks, SemaphoresAndFutures) {
  this->in([] {
    counting_semaphore<> permits(0);
    TestFixture::gives_up_in_time([&](auto point) { return permits.try_acquire_until(point); });
    promise<int> source;
    const shared_future<int> outcome = source.get_future().share();
    TestFixture::gives_up_in_time(
        [&](auto point) { return outcome.wait_until(point) != future_status::timeout; });
    source.set_value(1);
    EXPECT_EQ(outcome.wait_until(slow_clock::now() - 1h), future_status::ready);
    const auto deferred = treadle::async(launch::deferred, [] {});
    EXPECT_EQ(deferred.wait_until(slow_clock::now() + 1h), future_status::deferred);
  });
}

TYPED_TEST(Clocks, Sleeps) {
  this->in([] {
    const slow_clock::time_point point = slow_clock::now() + 1ms;
    this_thread::sleep_until(point);
    EXPECT_GE(slow_clock::now(), point);
  });
}

// Waits until the other thread ends it, with a point that no 64 bits of nanoseconds hold.
template <class Point>
void waits_until(Point point) {
  counting_semaphore<> done(0);
  thread ender([&done] {
    for (int i = 0; i < 5; ++i) this_thread::yield();
    done.release();
  });
  EXPECT_TRUE(done.try_acquire_until(point));
  ender.join();
  jthread sleeper(
      [point](const stop_token& stop) { EXPECT_FALSE(this_thread::sleep_until(point, stop)); });
  this_thread::yield();
  sleeper.request_stop();
}

TYPED_TEST(Clocks, FarPoints) {
  this->in([] {
    using std::chrono::hours;
    using std::chrono::system_clock;
    using std::chrono::years;
    waits_until(std::chrono::sys_days(std::chrono::January / 1 / 2300));
    waits_until(std::chrono::time_point<system_clock, hours>::max());
    waits_until(std::chrono::time_point<std::chrono::steady_clock, hours>::max());
    this_thread::sleep_until(std::chrono::time_point<system_clock, hours>::min());
    this_thread::sleep_until(
        std::chrono::time_point<std::chrono::steady_clock, years>(years(-3000)));
  });
}

TYPED_TEST(Clocks, PointsThatAreNoNumber) {
  this->in([] {
    using fraction = std::chrono::duration<double>;
    const fraction nothing(std::numeric_limits<double>::quiet_NaN());
    counting_semaphore<> never(0);
    const std::chrono::time_point<std::chrono::steady_clock, fraction> steady(nothing);
    const std::chrono::time_point<std::chrono::system_clock, fraction> wall(nothing);
    EXPECT_FALSE(never.try_acquire_until(steady));
    EXPECT_FALSE(never.try_acquire_until(wall));
    EXPECT_FALSE(never.try_acquire_for(nothing));
    this_thread::sleep_until(steady);
    this_thread::sleep_until(wall);
  });
}

// A wait without a predicate may end early, as if for no reason, but must not say timeout then.
template <class Condition>
bool never_notified(Condition& changed, std::unique_lock<mutex>& hold,
                    slow_clock::time_point point) {
  while (changed.wait_until(hold, point) == cv_status::no_timeout) continue;
  return false;
}

template <class Condition>
void conditions(const auto& gives_up) {
  mutex m;
  Condition changed;
  std::unique_lock hold(m);
  gives_up([&](auto point) { return never_notified(changed, hold, point); });
  gives_up([&](auto point) { return changed.wait_until(hold, point, [] { return false; }); });
  EXPECT_TRUE(hold.owns_lock());
}

TYPED_TEST(Clocks, ConditionVariables) {
  this->in([] {
    const auto gives_up = [](const auto& wait) { TestFixture::gives_up_in_time(wait); };
    conditions<condition_variable>(gives_up);
    conditions<condition_variable_any>(gives_up);
  });
}

TYPED_TEST(Clocks, AStopEndsAWaitOfASlowClock) {
  this->in([] {
    mutex m;
    condition_variable_any changed;
    std::unique_lock hold(m);
    stop_source source;
    const auto never = [] { return false; };
    TestFixture::gives_up_in_time(
        [&](auto point) { return changed.wait_until(hold, source.get_token(), point, never); });
    std::atomic<bool> waits{false};
    jthread stopper([&] {
      while (!waits) this_thread::yield();
      source.request_stop();
    });
    EXPECT_FALSE(changed.wait_until(hold, source.get_token(), slow_clock::now() + 1h, [&] {
      waits = true;
      return false;
    }));
    EXPECT_TRUE(source.stop_requested());
  });
}

}  // namespace
}  // namespace treadle
