// What must end the process: the standard's terminate cases of thread and jthread, per model.
#include <gtest/gtest.h>

#include <chrono>

#include <stdexcept>
#include <treadle/mutex.hpp>
#include <treadle/scope.hpp>
#include <treadle/semaphore.hpp>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class ThreadDeathTest : public testing_support::in_model_of_child<Model> {};
TYPED_TEST_SUITE(ThreadDeathTest, every_model, model_names);

constexpr const char* terminated = "terminate called";

TYPED_TEST(ThreadDeathTest, DestroyingAJoinableThread) {
  EXPECT_DEATH(this->in([] { const thread t([] {}); }), terminated);
}

TYPED_TEST(ThreadDeathTest, DestroyingAJoinableFinishedThread) {
  EXPECT_DEATH(this->in([] {
    binary_semaphore done(0);
    const thread t([&done] { done.release(); });
    done.acquire();
    this_thread::yield();
  }),
               terminated);
}

TYPED_TEST(ThreadDeathTest, AssigningOverAJoinableThread) {
  EXPECT_DEATH(this->in([] {
    thread t([] {});
    t = thread([] {});
    t.join();
  }),
               terminated);
}

TYPED_TEST(ThreadDeathTest, AnExceptionLeavesAThread) {
  EXPECT_DEATH(this->in([] {
    thread t([] { throw std::runtime_error("escaped from the thread"); });
    t.join();
  }),
               terminated);
}

TYPED_TEST(ThreadDeathTest, AnExceptionLeavesAThreadAfterParks) {
  EXPECT_DEATH(this->in([] {
    thread t([] {
      for (int i = 0; i < 10; ++i) this_thread::yield();
      throw 42;
    });
    t.join();
  }),
               terminated);
}

TYPED_TEST(ThreadDeathTest, AnExceptionLeavesAJthread) {
  EXPECT_DEATH(this->in([] { const jthread t([] { throw std::runtime_error("escaped"); }); }),
               terminated);
}

// The report of misuse names the call and the thread.
TYPED_TEST(ThreadDeathTest, UnlockOfAMutexThatNobodyHolds) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      mutex m;
      m.unlock();
    });
    t.join();
  }),
               "treadle: mutex::unlock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, UnlockOfAMutexThatAnotherHolds) {
  EXPECT_DEATH(this->in([] {
    mutex m;
    m.lock();
    thread t(thread_attributes{.name = "culprit"}, [&m] { m.unlock(); });
    t.join();
  }),
               "treadle: mutex::unlock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, UnlockOfATimedMutexThatAnotherHolds) {
  EXPECT_DEATH(this->in([] {
    timed_mutex m;
    m.lock();
    thread t(thread_attributes{.name = "culprit"}, [&m] { m.unlock(); });
    t.join();
  }),
               "treadle: timed_mutex::unlock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, UnlockOfARecursiveMutexThatAnotherHolds) {
  EXPECT_DEATH(this->in([] {
    recursive_mutex m;
    m.lock();
    thread t(thread_attributes{.name = "culprit"}, [&m] { m.unlock(); });
    t.join();
  }),
               "treadle: recursive_mutex::unlock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, RecursiveUnlockOnceTooOften) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      recursive_mutex m;
      m.lock();
      m.lock();
      m.unlock();
      m.unlock();
      m.unlock();
    });
    t.join();
  }),
               "treadle: recursive_mutex::unlock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, RecursiveLockOfAPlainMutex) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      mutex m;
      m.lock();
      m.lock();
    });
    t.join();
  }),
               "treadle: mutex::lock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, RecursiveLockOfATimedMutex) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      timed_mutex m;
      m.lock();
      m.lock();
    });
    t.join();
  }),
               "treadle: timed_mutex::lock: .*culprit");
}

TYPED_TEST(ThreadDeathTest, LimitedLockOfAHeldTimedMutex) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      timed_mutex m;
      m.lock();
      static_cast<void>(m.try_lock_for(std::chrono::hours(1)));
    });
    t.join();
  }),
               "treadle: timed_mutex::try_lock .with a limit.: .*culprit");
}

TYPED_TEST(ThreadDeathTest, DestructionOfAHeldRecursiveTimedMutex) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      recursive_timed_mutex m;
      m.lock();
    });
    t.join();
  }),
               "treadle: recursive_timed_mutex::~recursive_timed_mutex: .*culprit");
}

TYPED_TEST(ThreadDeathTest, DestructionOfAHeldMutex) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      mutex m;
      m.lock();
    });
    t.join();
  }),
               "treadle: mutex::~mutex: .*culprit");
}

TYPED_TEST(ThreadDeathTest, DestructionOfAHeldRecursiveMutex) {
  EXPECT_DEATH(this->in([] {
    thread t(thread_attributes{.name = "culprit"}, [] {
      recursive_mutex m;
      m.lock();
    });
    t.join();
  }),
               "treadle: recursive_mutex::~recursive_mutex: .*culprit");
}

// A foreign kernel thread is named too.
TYPED_TEST(ThreadDeathTest, UnlockFromAForeignKernelThread) {
  EXPECT_DEATH(
      {
        mutex m;
        m.unlock();
      },
      "treadle: mutex::unlock: .*thread");
}

}  // namespace
}  // namespace treadle
