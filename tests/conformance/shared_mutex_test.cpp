// shared_mutex and shared_timed_mutex in every model: exclusion, company, trying, deadlines, who
// goes first, foreign kernel threads.
//
// Counters are plain on purpose: only the lock orders them, and the sanitizers see it if not.
#include <treadle/shared_mutex.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <treadle/condition_variable.hpp>
#include <treadle/latch.hpp>
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
class SharedMutex : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(SharedMutex, every_model, model_names);

static_assert(!std::is_copy_constructible_v<shared_mutex>);
static_assert(!std::is_copy_assignable_v<shared_timed_mutex>);
static_assert(std::is_default_constructible_v<shared_timed_mutex>);

// One of static storage must not depend on the order of initialisation.
constinit shared_mutex static_mutex;

// Runs f in another thread while the caller goes on holding what it holds.
template <class F>
auto elsewhere(F&& f) {
  decltype(f()) result{};
  thread t([&] { result = f(); });
  t.join();
  return result;
}

template <class Lock>
bool can_write(Lock& lock) {
  return elsewhere([&] {
    const bool got = lock.try_lock();
    if (got) lock.unlock();
    return got;
  });
}
template <class Lock>
bool can_read(Lock& lock) {
  return elsewhere([&] {
    const bool got = lock.try_lock_shared();
    if (got) lock.unlock_shared();
    return got;
  });
}

// What readers and writers do to each other, some while others are there and held over switches.
template <class Lock>
struct playground {
  Lock lock;
  std::size_t first = 0;  // both guarded by lock, and always the same
  std::size_t second = 0;
  std::atomic<std::size_t> broken{0};

  void write(bool switches) {
    const std::lock_guard hold(lock);
    ++first;
    if (switches) this_thread::yield();
    ++second;
  }
  void read(bool switches) {
    const shared_lock hold(lock);
    const std::size_t before = first;
    if (switches) this_thread::yield();
    if (before != second) ++broken;
  }
  void work(std::size_t me, std::size_t rounds, std::size_t reads_each) {
    for (std::size_t i = 0; i < rounds; ++i) {
      const bool switches = (i + me) % 16 == 0;
      if ((i + me) % reads_each == 0) {
        write(switches);
      } else {
        read(switches);
      }
    }
  }
};

template <class Lock>
void exclude(std::size_t threads_count, std::size_t rounds, std::size_t reads_each) {
  playground<Lock> ground;
  std::vector<thread> threads;
  for (std::size_t t = 0; t < threads_count; ++t) {
    threads.emplace_back([&, t] { ground.work(t, rounds, reads_each); });
  }
  for (thread& t : threads) t.join();
  EXPECT_EQ(ground.broken, 0U);
  EXPECT_EQ(ground.first, ground.second);
  EXPECT_GE(ground.first, threads_count * (rounds / reads_each));
}

TYPED_TEST(SharedMutex, WritersExcludeEverybody) {
  this->in([] {
    const std::size_t rounds = scaled(500, TestFixture::own_kernel_threads);
    exclude<shared_mutex>(16, rounds, 2);
    exclude<shared_mutex>(16, rounds, 50);
    exclude<shared_timed_mutex>(16, rounds, 10);
    exclude<shared_mutex>(200, scaled(50, TestFixture::own_kernel_threads), 10);
  });
}

TYPED_TEST(SharedMutex, ReadersKeepCompany) {
  this->in([] {
    constexpr int count = 20;
    shared_mutex lock;
    latch all_in(count);
    std::vector<thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        const shared_lock hold(lock);
        all_in.arrive_and_wait();  // nobody leaves before all are in
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_TRUE(can_write(lock));
  });
}

TYPED_TEST(SharedMutex, Try) {
  this->in([] {
    const auto try_it = []<class Lock>(Lock& lock) {
      for (int round = 0; round < 20; ++round) {  // the stripes are shut at first, then open again
        EXPECT_TRUE(can_write(lock));
        EXPECT_TRUE(can_read(lock));
        lock.lock();
        EXPECT_FALSE(can_write(lock));
        EXPECT_FALSE(can_read(lock));
        lock.unlock();
        for (int readers = 0; readers < round; ++readers) lock.lock_shared();
        lock.lock_shared();
        EXPECT_FALSE(can_write(lock));
        EXPECT_TRUE(can_read(lock));
        for (int readers = 0; readers < round; ++readers) lock.unlock_shared();
        EXPECT_FALSE(can_write(lock));
        lock.unlock_shared();
      }
    };
    shared_mutex plain;
    try_it(plain);
    shared_timed_mutex timed;
    try_it(timed);
    try_it(static_mutex);
  });
}

TYPED_TEST(SharedMutex, ReadersMayLeaveElsewhere) {
  this->in([] {
    shared_mutex lock;
    std::vector<thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < scaled(500, true); ++i) {
          lock.lock_shared();
          if (t % 2 == 0) this_thread::sleep_for(1us);  // may go on on another worker
          this_thread::yield();
          lock.unlock_shared();
        }
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_TRUE(can_write(lock));
  });
}

TYPED_TEST(SharedMutex, TimeOuts) {
  this->in([] {
    shared_timed_mutex lock;
    const auto expect_in_vain = [&lock](bool also_readers) {
      EXPECT_TRUE(elsewhere([&] {
        const auto until = steady_clock::now() + 1ms;
        return !lock.try_lock_until(until) && steady_clock::now() >= until;
      }));
      EXPECT_TRUE(elsewhere([&] {
        const auto before = steady_clock::now();
        return !lock.try_lock_for(1ms) && steady_clock::now() - before >= 1ms;
      }));
      EXPECT_FALSE(elsewhere([&] { return lock.try_lock_for(-1s); }));
      EXPECT_FALSE(elsewhere([&] { return lock.try_lock(wait_limit(0s)); }));
      if (!also_readers) return;
      EXPECT_TRUE(elsewhere([&] {
        const auto until = steady_clock::now() + 1ms;
        return !lock.try_lock_shared_until(until) && steady_clock::now() >= until;
      }));
      EXPECT_FALSE(elsewhere([&] { return lock.try_lock_shared_for(0s); }));
      EXPECT_FALSE(elsewhere([&] { return lock.try_lock_shared(wait_limit(1us)); }));
    };
    lock.lock();
    expect_in_vain(true);
    lock.unlock();
    lock.lock_shared();
    expect_in_vain(false);
    EXPECT_TRUE(can_read(lock));
    lock.unlock_shared();
    EXPECT_TRUE(lock.try_lock_shared_for(-1s));  // free: a past deadline is no obstacle
    lock.unlock_shared();
    EXPECT_TRUE(lock.try_lock_until(steady_clock::time_point::min()));
    lock.unlock();
  });
}

// A writer that has given up keeps nobody out.
TYPED_TEST(SharedMutex, ReadersBehindAWriterThatGivesUp) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(40, true); ++i) {
      shared_timed_mutex lock;
      lock.lock_shared();
      stop_source source;
      bool wrote = true;
      thread writer([&] { wrote = lock.try_lock(source.get_token()); });
      eventually([&] { return !can_read(lock); });  // the writer waits
      bool read = false;
      thread reader([&] {
        const shared_lock hold(lock);
        read = true;
      });
      if (i % 2 == 0) this_thread::yield();
      source.request_stop();
      writer.join();
      reader.join();
      EXPECT_FALSE(wrote);
      EXPECT_TRUE(read);
      lock.unlock_shared();
      EXPECT_TRUE(can_write(lock));
    }
  });
}

TYPED_TEST(SharedMutex, TimedWaitersComeAndGo) {
  this->in([] {
    shared_timed_mutex lock;
    std::size_t counter = 0;
    std::atomic<std::size_t> taken{0};
    std::vector<thread> threads;
    for (unsigned t = 0; t < 12; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < scaled(100, TestFixture::own_kernel_threads); ++i) {
          const auto patience = std::chrono::microseconds((i * 13 + t) % 40);
          if (t % 3 == 0) {
            if (!lock.try_lock_shared_for(patience)) continue;
            static_cast<void>(counter);
            if (i % 5 == 0) this_thread::sleep_for(5us);
            lock.unlock_shared();
            continue;
          }
          if (t % 3 == 1) {
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
    EXPECT_TRUE(can_write(lock));
  });
}

// Readers that come and go without a gap: a writer gets its turn all the same.
TYPED_TEST(SharedMutex, NoWriterIsStarved) {
  this->in([] {
    shared_mutex lock;
    std::atomic<bool> wrote{false};
    std::atomic<int> reading{0};
    std::vector<thread> readers;
    for (int i = 0; i < 4; ++i) {
      readers.emplace_back([&] {
        ++reading;
        while (!wrote) {
          const shared_lock hold(lock);
          this_thread::yield();  // the others are in meanwhile
        }
      });
    }
    eventually([&] { return reading.load() == 4; });
    thread writer([&] {
      const std::lock_guard hold(lock);
      wrote = true;
    });
    writer.join();
    for (thread& t : readers) t.join();
  });
}

// Writers without a gap: a reader gets its turn.
TYPED_TEST(SharedMutex, NoReaderIsStarved) {
  this->in([] {
    shared_mutex lock;
    std::atomic<bool> read{false};
    std::atomic<int> writing{0};
    std::vector<thread> writers;
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&] {
        ++writing;
        while (!read) {
          const std::lock_guard hold(lock);
          this_thread::yield();  // the others queue meanwhile
        }
      });
    }
    eventually([&] { return writing.load() == 4; });
    thread reader([&] {
      const shared_lock hold(lock);
      read = true;
    });
    reader.join();
    for (thread& t : writers) t.join();
  });
}

TYPED_TEST(SharedMutex, ArrivingReadersQueueBehindAWriter) {
  this->in([] {
    shared_mutex lock;
    int order = 0;  // guarded by lock
    int wrote_at = 0;
    std::atomic<int> next{0};
    lock.lock_shared();
    thread writer([&] {
      const std::lock_guard hold(lock);
      wrote_at = ++order;
    });
    eventually([&] { return !can_read(lock); });  // the writer waits
    std::vector<thread> readers;
    for (int i = 0; i < 5; ++i) {
      readers.emplace_back([&] {
        ++next;
        const shared_lock hold(lock);
        EXPECT_EQ(wrote_at, 1);
      });
    }
    eventually([&] { return next.load() == 5; });
    for (int i = 0; i < 20; ++i) this_thread::yield();
    lock.unlock_shared();
    writer.join();
    for (thread& t : readers) t.join();
  });
}

// All readers that queued behind a writer are in at the same time.
TYPED_TEST(SharedMutex, AfterAWriterABatchOfReaders) {
  this->in([] {
    constexpr int count = 6;
    shared_mutex lock;
    latch all_in(count);
    std::atomic<int> coming{0};
    lock.lock();
    std::vector<thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        ++coming;
        const shared_lock hold(lock);
        all_in.arrive_and_wait();
      });
    }
    eventually([&] { return coming.load() == count; });
    this_thread::yield();
    lock.unlock();
    for (thread& t : threads) t.join();
    EXPECT_TRUE(can_write(lock));
  });
}

TYPED_TEST(SharedMutex, StandardLocks) {
  this->in([] {
    shared_timed_mutex a;
    mutex b;
    {
      shared_lock<shared_timed_mutex> first(a);
      shared_lock<shared_timed_mutex> second(a, try_to_lock);
      EXPECT_TRUE(second.owns_lock());
      second.unlock();
      shared_lock<shared_timed_mutex> third(a, 1ms);
      EXPECT_TRUE(third.owns_lock());
      shared_lock<shared_timed_mutex> moved(std::move(third));
      EXPECT_FALSE(can_write(a));
      EXPECT_TRUE(can_read(a));
    }
    {
      const scoped_lock both(a, b);
      EXPECT_FALSE(can_read(a));
    }
    unique_lock<shared_timed_mutex> alone(a, defer_lock);
    EXPECT_TRUE(alone.try_lock_for(1ms));
    EXPECT_FALSE(can_read(a));
    alone.unlock();
    // A condition that readers wait for.
    shared_lock<shared_timed_mutex> hold(a);
    condition_variable_any changed;
    EXPECT_EQ(changed.wait_for(hold, 1us), cv_status::timeout);
    EXPECT_TRUE(hold.owns_lock());
  });
}

TYPED_TEST(SharedMutex, ExceptionsUnlock) {
  this->in([] {
    shared_mutex lock;
    EXPECT_THROW(
        {
          const shared_lock hold(lock);
          throw std::runtime_error("while reading");
        },
        std::runtime_error);
    EXPECT_TRUE(can_write(lock));
    EXPECT_THROW(
        {
          const std::lock_guard hold(lock);
          throw std::runtime_error("while writing");
        },
        std::runtime_error);
    EXPECT_TRUE(can_write(lock));
  });
}

TYPED_TEST(SharedMutex, ForeignKernelThreadsTakePart) {
  playground<shared_mutex> ground;
  const std::size_t rounds = scaled(200);
  std::vector<std::thread> foreign;
  for (std::size_t i = 0; i < 3; ++i) {
    foreign.emplace_back([&, i] { ground.work(i, rounds, 8); });
  }
  this->in([&] {
    std::vector<thread> ours;
    for (std::size_t i = 0; i < 3; ++i) ours.emplace_back([&, i] { ground.work(i, rounds, 8); });
    for (thread& t : ours) t.join();
  });
  ground.work(1, rounds, 8);
  for (std::thread& t : foreign) t.join();
  EXPECT_EQ(ground.broken, 0U);
  EXPECT_EQ(ground.first, ground.second);
}

// The standard: who unlocks last may destroy at once, while the one before has not yet returned.
TYPED_TEST(SharedMutex, DestroyedRightAfterTheLastUnlock) {
  this->in([] {
    struct object {
      shared_mutex lock;
      std::atomic<int> read{0};
    };
    for (std::size_t i = 0; i < scaled(500, true); ++i) {
      auto shared = std::make_unique<object>();
      const auto read = [it = shared.get()] {
        const shared_lock hold(it->lock);
        ++it->read;
      };
      thread first(read);
      thread second(read);
      for (bool all = false; !all;) {
        this_thread::yield();
        const std::lock_guard hold(shared->lock);
        all = shared->read == 2;
      }
      shared.reset();
      first.join();
      second.join();
    }
  });
}

}  // namespace
}  // namespace treadle
