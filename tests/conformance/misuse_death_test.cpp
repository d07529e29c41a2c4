// Misuse of shared mutexes, barriers, wait groups and spinlocks ends the process in every
// model, and the report names the call and the thread.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <treadle/barrier.hpp>
#include <treadle/condition_variable.hpp>
#include <treadle/event.hpp>
#include <treadle/latch.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/shared_mutex.hpp>
#include <treadle/spinlock.hpp>
#include <treadle/wait_group.hpp>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class MisuseDeathTest : public testing_support::in_model_of_child<Model> {};
TYPED_TEST_SUITE(MisuseDeathTest, every_model, model_names);

TYPED_TEST(MisuseDeathTest, UnlockSharedWithoutReaders) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_mutex m;
    m.lock_shared();
    m.unlock_shared();
    m.unlock_shared();
  }),
               "treadle: shared_mutex::unlock_shared: .*culprit");
}

TYPED_TEST(MisuseDeathTest, UnlockSharedByAWriter) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_timed_mutex m;
    m.lock();
    m.unlock_shared();
  }),
               "treadle: shared_timed_mutex::unlock_shared: .*culprit");
}

TYPED_TEST(MisuseDeathTest, UnlockByAReader) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_mutex m;
    m.lock_shared();
    m.unlock();
  }),
               "treadle: shared_mutex::unlock: .*culprit");
}

TYPED_TEST(MisuseDeathTest, UnlockOfASharedMutexThatAnotherHolds) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_mutex m;
    m.lock();
    thread t(thread_attributes{.name = "the other"}, [&m] { m.unlock(); });
    t.join();
  }),
               "treadle: shared_mutex::unlock: .*the other");
}

TYPED_TEST(MisuseDeathTest, LockOfASharedMutexByItsWriter) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_mutex m;
    m.lock();
    m.lock();
  }),
               "treadle: shared_mutex::lock: .*culprit");
}

TYPED_TEST(MisuseDeathTest, LockSharedByItsWriter) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_mutex m;
    m.lock();
    m.lock_shared();
  }),
               "treadle: shared_mutex::lock_shared: .*culprit");
}

TYPED_TEST(MisuseDeathTest, DestructionOfASharedMutexThatIsRead) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_mutex m;
    m.lock_shared();
  }),
               "treadle: shared_mutex::~shared_mutex: .*culprit");
}

TYPED_TEST(MisuseDeathTest, DestructionOfASharedMutexThatIsWritten) {
  EXPECT_DEATH(this->in_culprit([] {
    shared_timed_mutex m;
    m.lock();
  }),
               "treadle: shared_timed_mutex::~shared_timed_mutex: .*culprit");
}

TYPED_TEST(MisuseDeathTest, MoreArriveThanExpected) {
  EXPECT_DEATH(this->in_culprit([] {
    barrier sync(2);
    static_cast<void>(sync.arrive(3));
  }),
               "treadle: barrier::arrive: .*culprit");
}

TYPED_TEST(MisuseDeathTest, DropOutOfAnEmptyBarrier) {
  EXPECT_DEATH(this->in_culprit([] {
    barrier sync(1);
    sync.arrive_and_drop();
    sync.arrive_and_drop();
  }),
               "treadle: barrier::arrive_and_drop: .*culprit");
}

// [thread.barrier.class]: the completion must not throw; ours ends as any noexcept function.
TYPED_TEST(MisuseDeathTest, ACompletionThrows) {
  EXPECT_DEATH(this->in_culprit([] {
    barrier sync(1, [] { throw std::runtime_error("from the completion"); });
    sync.arrive_and_wait();
  }),
               "terminate called");
}

// Takes its lock once only.
struct takes_once {
  void lock() {
    if (taken) throw std::runtime_error("taken again");
    taken = true;
  }
  void unlock() {}
  bool taken = false;
};

TYPED_TEST(MisuseDeathTest, ALockThatCannotBeTakenAgainAfterAWait) {
  EXPECT_DEATH(this->in_culprit([] {
    condition_variable_any changed;
    takes_once lock;
    lock.lock();
    try {
      changed.wait_for(lock, std::chrono::milliseconds(1));
    } catch (const std::runtime_error&) {
    }
  }),
               "terminate called");
}

TYPED_TEST(MisuseDeathTest, NotifyAtThreadExitWithoutTheLock) {
  EXPECT_DEATH(this->in_culprit([] {
    mutex m;
    condition_variable changed;
    notify_all_at_thread_exit(changed, std::unique_lock(m, std::defer_lock));
  }),
               "treadle: notify_all_at_thread_exit: the lock is not held.*culprit");
}

TYPED_TEST(MisuseDeathTest, MoreCountedDownThanThereWas) {
  EXPECT_DEATH(this->in_culprit([] {
    latch all(1);
    all.count_down(2);
  }),
               "treadle: latch::count_down: the count would become negative.*culprit");
}

TYPED_TEST(MisuseDeathTest, MoreDoneThanAnnounced) {
  EXPECT_DEATH(this->in_culprit([] {
    wait_group work(1);
    work.done();
    work.done();
  }),
               "treadle: wait_group::done: .*culprit");
  EXPECT_DEATH(this->in_culprit([] {
    wait_group work(1);
    work.add(std::numeric_limits<std::ptrdiff_t>::min());
  }),
               "treadle: wait_group::done: .*culprit");
}

TYPED_TEST(MisuseDeathTest, MoreAnnouncedThanCanBeCounted) {
  EXPECT_DEATH(this->in_culprit([] {
    wait_group work(1);
    work.add(std::numeric_limits<std::ptrdiff_t>::max());
  }),
               "treadle: wait_group::add: .*culprit");
}

TYPED_TEST(MisuseDeathTest, UnlockOfASpinlockThatNobodyHolds) {
  EXPECT_DEATH(this->in_culprit([] {
    spinlock lock;
    lock.unlock();
  }),
               "treadle: spinlock::unlock: .*culprit");
}

TYPED_TEST(MisuseDeathTest, UnlockOfASpinlockThatAnotherHolds) {
  EXPECT_DEATH(this->in_culprit([] {
    static spinlock lock;
    static std::atomic<bool> locked{false};
    thread t([] {
      lock.lock();
      locked = true;
      for (;;) this_thread::yield();
    });
    eventually([] { return locked.load(); });
    lock.unlock();
  }),
               "treadle: spinlock::unlock: .*culprit");
}

TYPED_TEST(MisuseDeathTest, RecursiveLockOfASpinlock) {
  EXPECT_DEATH(this->in_culprit([] {
    spinlock lock;
    lock.lock();
    lock.lock();
  }),
               "treadle: spinlock::lock: .*culprit");
}

TYPED_TEST(MisuseDeathTest, DestructionOfAHeldSpinlock) {
  EXPECT_DEATH(this->in_culprit([] {
    spinlock lock;
    lock.lock();
  }),
               "treadle: spinlock::~spinlock: .*culprit");
}

#if defined(TREADLE_ASSERTIONS)
// Runs `park` in a thread that holds a spinlock.
template <class F>
auto with_a_spinlock(F park) {
  return [park] {
    static spinlock lock;
    const std::lock_guard hold(lock);
    park();
  };
}

TYPED_TEST(MisuseDeathTest, ParksWithASpinlockInASemaphore) {
  EXPECT_DEATH(this->in_culprit(with_a_spinlock([] { binary_semaphore(0).acquire(); })),
               "treadle: counting_semaphore::acquire: .*spinlock.*culprit");
}

TYPED_TEST(MisuseDeathTest, ParksWithASpinlockInASleep) {
  EXPECT_DEATH(
      this->in_culprit(with_a_spinlock([] { this_thread::sleep_for(std::chrono::hours(1)); })),
      "treadle: this_thread::sleep_until: .*spinlock.*culprit");
}

TYPED_TEST(MisuseDeathTest, ParksWithASpinlockInAMutex) {
  EXPECT_DEATH(this->in_culprit(with_a_spinlock([] {
    mutex m;
    std::atomic<bool> held{false};
    thread t([&] {
      const std::lock_guard hold(m);
      held = true;
      for (;;) this_thread::yield();
    });
    eventually([&] { return held.load(); });
    m.lock();
  })),
               "treadle: mutex::lock: .*spinlock.*culprit");
}

TYPED_TEST(MisuseDeathTest, ParksWithASpinlockInAJoin) {
  EXPECT_DEATH(this->in_culprit(with_a_spinlock([] {
    thread t([] {
      for (;;) this_thread::yield();
    });
    t.join();
  })),
               "treadle: thread::join: .*spinlock.*culprit");
}
#endif

}  // namespace
}  // namespace treadle
