// The mutex family in every model: exclusion, trying, deadlines, recursion, foreign lockers.
//
// Counters are plain on purpose: only the lock orders them, and the sanitizers see it if not.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
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
class Mutex : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Mutex, every_model, model_names);

static_assert(!std::is_copy_constructible_v<mutex>);
static_assert(std::is_default_constructible_v<mutex>);

// A mutex of static storage must not depend on the order of initialisation.
constinit mutex static_mutex;
constinit once_flag static_once;

template <class Lock>
void exclude(std::size_t threads_count, std::size_t rounds) {
  Lock lock;
  std::size_t counter = 0;
  bool inside = false;
  std::size_t broken = 0;
  std::vector<thread> threads;
  for (std::size_t t = 0; t < threads_count; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < rounds; ++i) {
        const std::lock_guard hold(lock);
        if (inside) ++broken;
        inside = true;
        ++counter;
        if ((i + t) % 16 == 0) this_thread::yield();  // held over a switch
        inside = false;
      }
    });
  }
  for (thread& t : threads) t.join();
  EXPECT_EQ(counter, threads_count * rounds);
  EXPECT_EQ(broken, 0U);
}

TYPED_TEST(Mutex, Excludes) {
  this->in([] {
    const std::size_t rounds = scaled(1500);
    exclude<mutex>(16, rounds);
    exclude<timed_mutex>(16, rounds);
    exclude<recursive_mutex>(16, rounds);
    exclude<recursive_timed_mutex>(16, rounds);
    exclude<mutex>(200, scaled(100));
  });
}

TYPED_TEST(Mutex, StaticStorage) {
  this->in([] {
    const std::lock_guard hold(static_mutex);
    bool called = false;
    once_flag local;
    call_once(local, [&called] { called = true; });
    EXPECT_TRUE(called);
    call_once(static_once, [] {});
  });
}

// Runs f in another thread while the caller goes on holding what it holds.
template <class F>
auto elsewhere(F&& f) {
  decltype(f()) result{};
  thread t([&] { result = f(); });
  t.join();
  return result;
}

template <class Lock>
void try_it() {
  Lock lock;
  EXPECT_TRUE(elsewhere([&] {
    const bool got = lock.try_lock();
    if (got) lock.unlock();
    return got;
  }));
  lock.lock();
  EXPECT_FALSE(elsewhere([&] { return lock.try_lock(); }));
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(elsewhere([&] { return lock.try_lock(); }));
  lock.unlock();
}

TYPED_TEST(Mutex, TryLock) {
  this->in([] {
    try_it<mutex>();
    try_it<timed_mutex>();
    try_it<recursive_mutex>();
    try_it<recursive_timed_mutex>();
  });
}

template <class Lock>
void time_out() {
  Lock lock;
  lock.lock();
  EXPECT_TRUE(elsewhere([&] {
    const auto before = steady_clock::now();
    const bool got = lock.try_lock_for(1ms);
    return !got && steady_clock::now() - before >= 1ms;
  }));
  EXPECT_TRUE(elsewhere([&] {
    const auto until = steady_clock::now() + 1ms;
    return !lock.try_lock_until(until) && steady_clock::now() >= until;
  }));
  EXPECT_FALSE(elsewhere([&] { return lock.try_lock_for(0s); }));
  EXPECT_FALSE(elsewhere([&] { return lock.try_lock_for(-1s); }));
  EXPECT_FALSE(elsewhere([&] { return lock.try_lock_until(steady_clock::time_point::min()); }));
  EXPECT_FALSE(
      elsewhere([&] { return lock.try_lock_until(std::chrono::system_clock::now() - 1s); }));
  lock.unlock();
  EXPECT_TRUE(elsewhere([&] {
    const bool got = lock.try_lock_for(-1s);  // free: a past deadline is no obstacle
    if (got) lock.unlock();
    return got;
  }));
}

template <class Lock>
void get_it_in_time() {
  Lock lock;
  lock.lock();
  std::atomic<bool> waiting{false};
  bool got = false;
  thread t([&] {
    waiting = true;
    got = lock.try_lock_for(1h);
    if (got) lock.unlock();
  });
  eventually([&] { return waiting.load(); });
  for (int i = 0; i < 20; ++i) this_thread::yield();
  lock.unlock();
  t.join();
  EXPECT_TRUE(got);
}

TYPED_TEST(Mutex, TimedWaits) {
  this->in([] {
    time_out<timed_mutex>();
    time_out<recursive_timed_mutex>();
    get_it_in_time<timed_mutex>();
    get_it_in_time<recursive_timed_mutex>();
  });
}

// Waiters that give up must leave the queue: a lock handed to one of them would be lost.
TYPED_TEST(Mutex, TimedWaitersComeAndGo) {
  this->in([] {
    timed_mutex lock;
    std::size_t counter = 0;
    std::atomic<std::size_t> taken{0};
    std::vector<thread> threads;
    for (int t = 0; t < 12; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < scaled(150); ++i) {
          const auto patience = std::chrono::microseconds((i * 13 + static_cast<unsigned>(t)) % 40);
          if (t % 3 == 0) {
            lock.lock();
          } else if (!lock.try_lock_for(patience)) {
            continue;
          }
          ++counter;
          if (i % 5 == 0) this_thread::sleep_for(5us);
          lock.unlock();
          taken.fetch_add(1);
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(counter, taken);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TYPED_TEST(Mutex, RecursiveDepth) {
  this->in([] {
    recursive_mutex lock;
    constexpr int depth = 200;
    for (int i = 0; i < depth; ++i) {
      if (i % 2 == 0) {
        lock.lock();
      } else {
        ASSERT_TRUE(lock.try_lock());
      }
    }
    for (int i = 0; i < depth; ++i) {
      ASSERT_FALSE(elsewhere([&] { return lock.try_lock(); })) << i;
      lock.unlock();
    }
    EXPECT_TRUE(elsewhere([&] {
      const bool got = lock.try_lock();
      if (got) lock.unlock();
      return got;
    }));
    recursive_timed_mutex timed;
    timed.lock();
    EXPECT_TRUE(timed.try_lock_for(1ms));
    EXPECT_TRUE(timed.try_lock_until(steady_clock::now()));
    EXPECT_FALSE(elsewhere([&] { return timed.try_lock_for(1us); }));
    timed.unlock();
    timed.unlock();
    timed.unlock();
  });
}

TYPED_TEST(Mutex, StandardLocksAndTags) {
  this->in([] {
    mutex a;
    timed_mutex b;
    {
      unique_lock<mutex> first(a, defer_lock);
      EXPECT_FALSE(first.owns_lock());
      EXPECT_TRUE(first.try_lock());
      unique_lock<timed_mutex> second(b, 1ms);
      EXPECT_TRUE(second.owns_lock());
      unique_lock<mutex> third(std::move(first));
      third.unlock();
    }
    {
      treadle::lock(a, b);
      const lock_guard<mutex> first(a, adopt_lock);
      const unique_lock<timed_mutex> second(b, adopt_lock);
      EXPECT_EQ(elsewhere([&] { return treadle::try_lock(a, b); }), 0);
    }
    const unique_lock<mutex> last(a, try_to_lock);
    EXPECT_TRUE(last.owns_lock());
  });
}

TYPED_TEST(Mutex, ScopedLockInBothOrders) {
  this->in([] {
    mutex a;
    mutex b;
    std::size_t counter = 0;
    const std::size_t rounds = scaled(500);
    const auto work = [&](mutex& first, mutex& second) {
      for (std::size_t i = 0; i < rounds; ++i) {
        const scoped_lock hold(first, second);
        ++counter;
        if (i % 8 == 0) this_thread::yield();
      }
    };
    std::vector<thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back(work, std::ref(a), std::ref(b));
      threads.emplace_back(work, std::ref(b), std::ref(a));
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(counter, 8 * rounds);
  });
}

TYPED_TEST(Mutex, NobodyIsStarved) {
  this->in([] {
    mutex lock;
    std::atomic<bool> got{false};
    std::atomic<bool> waiting{false};
    lock.lock();
    thread patient([&] {
      waiting = true;
      const std::lock_guard hold(lock);
      got = true;
    });
    eventually([&] { return waiting.load(); });
    // The greedy one takes it again at once, and gives way only while it holds it.
    while (!got) {
      lock.unlock();
      lock.lock();
      this_thread::yield();
    }
    lock.unlock();
    patient.join();
  });
}

// Worse: it never gives way at all, and in m:1 nobody can take its worker from it.
TYPED_TEST(Mutex, NobodyIsStarvedByAHolderThatNeverParks) {
  this->in([] {
    constexpr int patient_count = 8;
    mutex lock;
    int got = 0;  // guarded by lock
    std::atomic<int> waiting{0};
    std::vector<thread> patient;
    lock.lock();
    for (int i = 0; i < patient_count; ++i) {
      patient.emplace_back([&] {
        ++waiting;
        const std::lock_guard hold(lock);
        ++got;
      });
    }
    eventually([&] { return waiting.load() == patient_count; });
    while (got < patient_count) {
      lock.unlock();
      lock.lock();
    }
    lock.unlock();
    for (thread& t : patient) t.join();
  });
}

// A crowd that does nothing but lock: it ends only if each of them gets its turns beside the rest.
TYPED_TEST(Mutex, EveryoneInACrowdGetsItsTurns) {
  this->in([] {
    constexpr std::size_t crowd = 32;
    constexpr int turns_each = 5;
    mutex lock;
    std::array<int, crowd> turns{};  // guarded by lock, as is served
    std::size_t served = 0;
    std::atomic<std::size_t> waiting{0};
    std::vector<thread> threads;
    lock.lock();  // else the first one could be alone for ever: nothing here gives way
    for (std::size_t t = 0; t < crowd; ++t) {
      threads.emplace_back([&, t] {
        ++waiting;
        for (bool all = false; !all;) {
          const std::lock_guard hold(lock);
          if (++turns[t] == turns_each) ++served;
          all = served == crowd;
        }
      });
    }
    eventually([&] { return waiting.load() == crowd; });
    lock.unlock();
    for (thread& t : threads) t.join();
    for (const int each : turns) EXPECT_GE(each, turns_each);
  });
}

TYPED_TEST(Mutex, ForeignKernelThreadsContendToo) {
  mutex lock;
  std::size_t counter = 0;
  const std::size_t rounds = scaled(1000);
  const auto work = [&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      const std::lock_guard hold(lock);
      ++counter;
      if (i % 16 == 0) this_thread::yield();
    }
  };
  std::vector<std::thread> foreign;
  for (int i = 0; i < 3; ++i) foreign.emplace_back(work);
  this->in([&work] {
    std::vector<thread> ours;
    for (int i = 0; i < 3; ++i) ours.emplace_back(work);
    for (thread& t : ours) t.join();
  });
  work();
  for (std::thread& t : foreign) t.join();
  EXPECT_EQ(counter, 7 * rounds);
}

TYPED_TEST(Mutex, HeldByAForeignThreadWaitedForInside) {
  mutex lock;
  lock.lock();
  std::atomic<bool> waiting{false};
  bool got = false;
  std::thread starter([&] {
    this->in([&] {
      waiting = true;
      const std::lock_guard hold(lock);
      got = true;
    });
  });
  eventually([&] { return waiting.load(); });
  lock.unlock();
  starter.join();
  EXPECT_TRUE(got);
}

// POSIX, and reference counting everywhere: who unlocks last may destroy at once, even while the
// one who unlocked before it has not yet returned from unlock().
TYPED_TEST(Mutex, DestroyedRightAfterTheLastUnlock) {
  this->in([] {
    struct object {
      mutex lock;
      int references = 2;
      static void release(object* it) {
        it->lock.lock();
        const bool last = --it->references == 0;
        it->lock.unlock();
        if (last) delete it;
      }
    };
    for (std::size_t i = 0; i < scaled(1000); ++i) {
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
