// condition_variable_any in every model: other locks than mutex, and the stop token forms.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <treadle/condition_variable.hpp>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/condition_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::destroy_right_after_notify_all;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::lose_no_ticket;
using testing_support::model_names;
using testing_support::play_ping_pong;
using testing_support::scaled;

template <class Model>
class ConditionVariableAny : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ConditionVariableAny, every_model, model_names);

// The least that a lock has to offer.
class plain_lock {
 public:
  void lock() {
    mutex_.lock();
    ++locked;
  }
  void unlock() { mutex_.unlock(); }
  int locked = 0;  // guarded by itself

 private:
  mutex mutex_;
};

// The lock itself, not a holder of it, is what waits.
TYPED_TEST(ConditionVariableAny, AnyLockWillDo) {
  this->in([] {
    plain_lock m;
    condition_variable_any changed;
    std::size_t turn = 0;
    const std::size_t rounds = scaled(300);
    const auto play = [&](std::size_t me) {
      for (std::size_t i = 0; i < rounds; ++i) {
        m.lock();
        changed.wait(m, [&] { return turn % 2 == me; });
        ++turn;
        m.unlock();
        changed.notify_one();
      }
    };
    thread other(play, 1);
    play(0);
    other.join();
    EXPECT_EQ(turn, 2 * rounds);
  });
}

TYPED_TEST(ConditionVariableAny, AHolderOfAnyLockWillDo) {
  this->in([] {
    const std::size_t rounds = scaled(300);
    play_ping_pong<condition_variable_any, plain_lock>(rounds);
    play_ping_pong<condition_variable_any, mutex>(rounds);
    play_ping_pong<condition_variable_any, timed_mutex>(rounds);
    play_ping_pong<condition_variable_any, recursive_mutex>(rounds);
  });
}

TYPED_TEST(ConditionVariableAny, UniqueLockOfATimedMutex) {
  this->in([] {
    timed_mutex m;
    condition_variable_any changed;
    std::unique_lock hold(m);
    const auto before = steady_clock::now();
    EXPECT_EQ(changed.wait_for(hold, 1ms), cv_status::timeout);
    EXPECT_GE(steady_clock::now() - before, 1ms);
    EXPECT_FALSE(changed.wait_until(hold, steady_clock::now() + 1ms, [] { return false; }));
    EXPECT_TRUE(changed.wait_for(hold, -1s, [] { return true; }));
    EXPECT_TRUE(hold.owns_lock());
  });
}

TYPED_TEST(ConditionVariableAny, StopEndsAWait) {
  this->in([] {
    mutex m;
    condition_variable_any changed;
    std::atomic<bool> waiting{false};
    bool result = true;
    jthread waiter([&](const stop_token& token) {
      std::unique_lock hold(m);
      result = changed.wait(hold, token, [&] {
        waiting = true;
        return false;
      });
      EXPECT_TRUE(hold.owns_lock());
    });
    eventually([&] { return waiting.load(); });
    waiter.request_stop();
    waiter.join();
    EXPECT_FALSE(result);
  });
}

TYPED_TEST(ConditionVariableAny, AlreadyStopped) {
  this->in([] {
    mutex m;
    condition_variable_any changed;
    stop_source source;
    source.request_stop();
    std::unique_lock hold(m);
    EXPECT_FALSE(changed.wait(hold, source.get_token(), [] { return false; }));
    EXPECT_TRUE(changed.wait(hold, source.get_token(), [] { return true; }));
    EXPECT_FALSE(changed.wait_for(hold, source.get_token(), 1h, [] { return false; }));
    EXPECT_FALSE(changed.wait_until(hold, source.get_token(), steady_clock::now() + 1h,
                                    [] { return false; }));
  });
}

TYPED_TEST(ConditionVariableAny, StopTokenFormsTimeOutAndSucceed) {
  this->in([] {
    mutex m;
    condition_variable_any changed;
    stop_source source;
    std::unique_lock hold(m);
    const auto before = steady_clock::now();
    EXPECT_FALSE(changed.wait_for(hold, source.get_token(), 1ms, [] { return false; }));
    EXPECT_GE(steady_clock::now() - before, 1ms);
    bool ready = false;
    thread notifier([&] {
      const std::lock_guard inner(m);
      ready = true;
      changed.notify_all();
    });
    EXPECT_TRUE(changed.wait_for(hold, source.get_token(), 1h, [&] { return ready; }));
    hold.unlock();
    notifier.join();
    // A token that can never be stopped.
    hold.lock();
    EXPECT_TRUE(changed.wait(hold, stop_token(), [] { return true; }));
  });
}

TYPED_TEST(ConditionVariableAny, StopsRaceWithNotifications) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(300); ++round) {
      mutex m;
      condition_variable_any changed;
      bool ready = false;
      bool result = false;
      jthread waiter([&](const stop_token& token) {
        std::unique_lock hold(m);
        result = changed.wait(hold, token, [&] { return ready; });
      });
      if (round % 3 != 0) this_thread::yield();
      jthread notifier([&] {
        const std::lock_guard hold(m);
        ready = true;
        changed.notify_one();
      });
      waiter.request_stop();
      notifier.join();
      waiter.join();
      EXPECT_TRUE(ready);
      static_cast<void>(result);  // either is right
    }
  });
}

TYPED_TEST(ConditionVariableAny, EveryStoppedWaiterOfMany) {
  this->in([] {
    mutex m;
    condition_variable_any changed;
    stop_source source;
    std::size_t waiting = 0;
    std::size_t stopped = 0;
    const std::size_t count = scaled(200, TestFixture::own_kernel_threads);
    std::vector<thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        std::unique_lock hold(m);
        ++waiting;
        if (!changed.wait(hold, source.get_token(), [] { return false; })) ++stopped;
      });
    }
    eventually([&] {
      const std::lock_guard hold(m);
      return waiting == count;
    });
    source.request_stop();
    for (thread& t : threads) t.join();
    EXPECT_EQ(stopped, count);
  });
}

// The waiter's own unlock and relock must not lose a notification between them.
TYPED_TEST(ConditionVariableAny, NoTicketIsLostAmongTimeOuts) {
  this->in([] { lose_no_ticket<condition_variable_any, plain_lock>(scaled(600), 6, 1); });
}

TYPED_TEST(ConditionVariableAny, DestroyedRightAfterNotifyAll) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(200); ++round) {
      destroy_right_after_notify_all<condition_variable_any, recursive_mutex>(3);
    }
  });
}

// Its unlock() waits, after it has unlocked, until somebody has notified and says so.
class lingering_lock {
 public:
  void lock() { mutex_.lock(); }
  void unlock() {
    const bool lingering = lingers;
    mutex_.unlock();
    if (!lingering) return;
    left.release();
    notified.acquire();
  }
  bool lingers = false;  // guarded by itself
  counting_semaphore<> left{0};
  counting_semaphore<> notified{0};

 private:
  mutex mutex_;
};

// The wait inside unlock() uses up the wake-up that comes with the notification.
TYPED_TEST(ConditionVariableAny, NotifiedWhileTheUnlockWaits) {
  this->in([] {
    lingering_lock m;
    condition_variable_any changed;
    bool done = false;
    thread waiter([&] {
      m.lock();
      m.lingers = true;
      changed.wait(m);
      EXPECT_TRUE(done);
      m.lingers = false;
      m.unlock();
    });
    m.left.acquire();
    this_thread::yield();  // the waiter is in its unlock()'s own wait by now, or soon
    m.lock();
    done = true;
    changed.notify_one();
    this_thread::yield();
    m.notified.release();
    m.lingers = false;
    m.unlock();
    waiter.join();
  });
}

// Throws when it is told to, and is then still held.
class stubborn_lock {
 public:
  void lock() { mutex_.lock(); }
  void unlock() {
    if (stubborn) throw std::runtime_error("held for good");
    mutex_.unlock();
  }
  bool stubborn = false;  // guarded by itself

 private:
  mutex mutex_;
};

TYPED_TEST(ConditionVariableAny, AnUnlockThatThrowsLeavesNobodyBehind) {
  this->in([] {
    stubborn_lock m;
    condition_variable_any changed;
    for (int form = 0; form < 4; ++form) {
      m.lock();
      m.stubborn = true;
      const auto wait = [&] {
        if (form == 0) changed.wait(m);
        if (form == 1) changed.wait_for(m, 1h, [] { return false; });
        if (form == 2) static_cast<void>(changed.try_wait(m, wait_limit()));
        if (form == 3) changed.wait(m, stop_source().get_token(), [] { return false; });
      };
      EXPECT_THROW(wait(), std::runtime_error) << form;
      m.stubborn = false;
      m.unlock();
      // The one notification finds the one that waits.
      bool ready = false;
      thread waiter([&] {
        m.lock();
        changed.wait(m, [&ready] { return ready; });
        m.unlock();
      });
      this_thread::yield();
      m.lock();
      ready = true;
      changed.notify_one();
      m.unlock();
      waiter.join();
    }
  });
}

TYPED_TEST(ConditionVariableAny, ALockThatIsNotHeldIsRefused) {
  this->in([] {
    mutex m;
    condition_variable_any any;
    condition_variable plain;
    std::unique_lock<mutex> hold(m, std::defer_lock);
    EXPECT_THROW(any.wait(hold), std::system_error);
    EXPECT_THROW(plain.wait(hold), std::system_error);
    EXPECT_THROW(static_cast<void>(plain.try_wait(hold, 1h)), std::system_error);
    plain.notify_all();
    any.notify_all();
  });
}

}  // namespace
}  // namespace treadle
