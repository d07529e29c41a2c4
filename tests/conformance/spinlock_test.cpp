// spinlock in every model.
#include <treadle/spinlock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Spinlock : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Spinlock, every_model, model_names);

static_assert(!std::is_copy_constructible_v<spinlock>);
static_assert(std::is_nothrow_default_constructible_v<spinlock>);

constinit spinlock static_lock;

struct counted {
  spinlock lock;
  std::size_t counter = 0;  // plain: the lock orders it
  bool inside = false;
  std::size_t broken = 0;

  void work(std::size_t rounds, std::size_t yields_each) {
    for (std::size_t i = 0; i < rounds; ++i) {
      const std::lock_guard hold(lock);
      if (inside) ++broken;
      inside = true;
      ++counter;
      if (i % yields_each == 0) this_thread::yield();  // held over a switch: allowed, if not wise
      inside = false;
    }
  }
};

TYPED_TEST(Spinlock, Excludes) {
  this->in([] {
    counted it;
    const std::size_t rounds = scaled(1000, true);
    std::vector<thread> threads;
    for (int t = 0; t < 16; ++t) {
      threads.emplace_back([&] { it.work(rounds, 16); });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(it.counter, 16 * rounds);
    EXPECT_EQ(it.broken, 0U);
  });
}

TYPED_TEST(Spinlock, TryLockAndStandardLocks) {
  this->in([] {
    spinlock lock;
    std::atomic<int> result{-1};
    EXPECT_TRUE(lock.try_lock());
    thread t([&] { result = lock.try_lock() ? 1 : 0; });
    eventually([&] { return result.load() >= 0; });  // no join: that would park
    lock.unlock();
    t.join();
    EXPECT_EQ(result, 0);
    const std::scoped_lock both(lock, static_lock);
    EXPECT_FALSE(std::unique_lock(lock, std::defer_lock).owns_lock());
  });
}

// After unlock() a thread may park again, on whichever worker.
TYPED_TEST(Spinlock, ParksBetween) {
  this->in([] {
    spinlock lock;
    counting_semaphore<> permits(1);
    std::size_t counter = 0;
    const std::size_t rounds = scaled(500, true);
    std::vector<thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < rounds; ++i) {
          permits.acquire();
          {
            const std::lock_guard hold(lock);
            ++counter;
          }
          permits.release();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(counter, 8 * rounds);
  });
}

TYPED_TEST(Spinlock, ForeignKernelThreadsTakePart) {
  counted it;
  const std::size_t rounds = scaled(100);
  std::vector<std::thread> foreign;
  for (int i = 0; i < 3; ++i) foreign.emplace_back([&] { it.work(rounds, 8); });
  this->in([&] {
    std::vector<thread> ours;
    for (int i = 0; i < 3; ++i) ours.emplace_back([&] { it.work(rounds, 8); });
    for (thread& t : ours) t.join();
  });
  for (std::thread& t : foreign) t.join();
  EXPECT_EQ(it.counter, 6 * rounds);
  EXPECT_EQ(it.broken, 0U);
}

TYPED_TEST(Spinlock, DestroyedRightAfterTheLastUnlock) {
  this->in([] {
    struct object {
      spinlock lock;
      int references = 2;
      static void release(object* it) {
        it->lock.lock();
        const bool last = --it->references == 0;
        it->lock.unlock();
        if (last) delete it;
      }
    };
    for (std::size_t i = 0; i < scaled(1000, true); ++i) {
      auto* shared = new object;
      thread t(object::release, shared);
      if (i % 2 == 0) this_thread::yield();
      object::release(shared);
      t.join();
    }
  });
}

}  // namespace
}  // namespace treadle
