// Read sections, grace periods and retired objects in every model.
#include <treadle/rcu.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <treadle/event.hpp>
#include <treadle/rcu_ptr.hpp>
#include <treadle/scope.hpp>
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
class Rcu : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Rcu, every_model, model_names);

static_assert(!std::is_copy_constructible_v<rcu_domain>);
static_assert(!std::is_default_constructible_v<rcu_domain>);
static_assert(noexcept(rcu_default_domain().lock()));
static_assert(noexcept(rcu_synchronize()));
static_assert(noexcept(rcu_barrier()));

// Alive as long as nobody has destroyed it; a reader that comes too late finds the poison.
struct counted : rcu_obj_base<counted> {
  static inline std::atomic<long> alive{0};
  static constexpr int good = 7;
  counted() { alive.fetch_add(1); }
  ~counted() {
    word = -1;
    alive.fetch_sub(1);
  }
  std::atomic<int> word{good};
};

TYPED_TEST(Rcu, SynchronizeWithoutReadersReturns) {
  this->in([] {
    for (int i = 0; i < 100; ++i) rcu_synchronize();
    rcu_barrier();
  });
}

TYPED_TEST(Rcu, IsALockByStandardMeans) {
  this->in([] {
    rcu_domain& domain = rcu_default_domain();
    {
      const std::scoped_lock one(domain);
      const std::unique_lock other(domain, std::try_to_lock);
      EXPECT_TRUE(other.owns_lock());
    }
    rcu_synchronize(domain);
  });
}

// The reader parks inside its section and goes on on whatever kernel thread.
TYPED_TEST(Rcu, SynchronizeWaitsForAReaderThatIsParked) {
  this->in([] {
    manual_reset_event entered;
    manual_reset_event may_leave;
    std::atomic<bool> left{false};
    std::atomic<bool> over{false};
    thread reader([&] {
      const std::scoped_lock reading(rcu_default_domain());
      entered.set();
      may_leave.wait();
      left = true;
    });
    entered.wait();
    thread writer([&] {
      rcu_synchronize();
      EXPECT_TRUE(left);
      over = true;
    });
    // Others go on meanwhile, read, and end.
    for (int i = 0; i < 50; ++i) {
      thread([] { const std::scoped_lock reading(rcu_default_domain()); }).join();
      this_thread::yield();
    }
    EXPECT_FALSE(over);
    may_leave.set();
    writer.join();
    reader.join();
  });
}

TYPED_TEST(Rcu, AReaderSleepsForASecondInItsSection) {
  this->in([] {
    manual_reset_event entered;
    std::atomic<bool> left{false};
    thread reader([&] {
      const std::scoped_lock reading(rcu_default_domain());
      entered.set();
      this_thread::sleep_for(std::chrono::seconds(1));
      left = true;
    });
    entered.wait();
    rcu_synchronize();
    EXPECT_TRUE(left);
    reader.join();
  });
}

// Only sections that were open at the call count.
TYPED_TEST(Rcu, SynchronizeDoesNotWaitForNewcomers) {
  this->in([] {
    std::atomic<bool> stop{false};
    counting_semaphore<> begun(0);
    std::vector<thread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        // One section always overlaps the next one of another thread.
        for (bool first = true; !stop; first = false) {
          const std::scoped_lock reading(rcu_default_domain());
          if (first) begun.release();
          this_thread::yield();
        }
      });
    }
    for (int i = 0; i < 3; ++i) begun.acquire();
    for (int i = 0; i < 20; ++i) rcu_synchronize();
    stop = true;
    for (thread& each : readers) each.join();
  });
}

TYPED_TEST(Rcu, NestedSectionsEndWithTheOutermost) {
  this->in([] {
    manual_reset_event entered;
    manual_reset_event go_on;
    std::atomic<bool> left{false};
    thread reader([&] {
      rcu_domain& domain = rcu_default_domain();
      domain.lock();
      domain.lock();
      entered.set();
      go_on.wait();  // both are taken along
      domain.lock();
      this_thread::yield();
      domain.unlock();
      domain.unlock();
      for (int i = 0; i < 20; ++i) this_thread::yield();
      left = true;
      domain.unlock();
    });
    entered.wait();
    thread writer([&] {
      rcu_synchronize();
      EXPECT_TRUE(left);
    });
    for (int i = 0; i < 10; ++i) this_thread::yield();
    go_on.set();
    writer.join();
    reader.join();
  });
}

TYPED_TEST(Rcu, AThreadThatEndsInsideASectionLeavesIt) {
  this->in([] {
    for (int i = 0; i < 20; ++i) {
      thread([i] {
        rcu_default_domain().lock();
        if (i % 2 == 0) rcu_default_domain().lock();
        if (i % 3 == 0) this_thread::yield();
        if (i % 5 == 0) this_thread::sleep_for(std::chrono::microseconds(10));
      }).join();
      {
        scope children;
        children.spawn([] { rcu_default_domain().lock(); });
        children.join();
      }
      rcu_synchronize();
    }
  });
  std::thread([] { rcu_default_domain().lock(); }).join();
  rcu_synchronize();
}

// A scope's parent goes on elsewhere, inside its section.
TYPED_TEST(Rcu, ForksInsideASection) {
  this->in([] {
    std::atomic<int> sections{0};
    auto* shared = new counted;
    for (std::size_t i = 0; i < scaled(200, true); ++i) {
      const std::scoped_lock reading(rcu_default_domain());
      scope children;
      for (int c = 0; c < 3; ++c) {
        children.spawn([&] {
          const std::scoped_lock own(rcu_default_domain());
          if (sections.fetch_add(1) % 5 == 0) this_thread::yield();
          EXPECT_EQ(shared->word, counted::good);
        });
      }
      children.join();
    }
    shared->retire();
    rcu_barrier();
    EXPECT_EQ(counted::alive, 0);
  });
}

TYPED_TEST(Rcu, ForeignKernelThreadsTakePart) {
  std::atomic<bool> stop{false};
  std::atomic<counted*> shared{new counted};
  std::atomic<long> bad{0};
  const auto read = [&] {
    while (!stop) {
      const std::scoped_lock reading(rcu_default_domain());
      const counted* seen = shared.load();
      if (seen->word != counted::good) ++bad;
    }
  };
  std::vector<std::thread> foreign;
  for (int i = 0; i < 2; ++i) foreign.emplace_back(read);
  this->in([&] {
    for (std::size_t i = 0; i < scaled(500, true); ++i) {
      shared.exchange(new counted)->retire();
      if (i % 16 == 0) rcu_synchronize();
    }
  });
  // And the other way round: a foreign writer, our readers.
  thread ours;
  this->in([&] {
    manual_reset_event done;
    std::thread writer([&] {
      for (std::size_t i = 0; i < scaled(500, true); ++i) shared.exchange(new counted)->retire();
      rcu_synchronize();
      done.set();
    });
    while (!done.is_set()) {
      const std::scoped_lock reading(rcu_default_domain());
      const counted* seen = shared.load();
      this_thread::yield();
      if (seen->word != counted::good) ++bad;
    }
    writer.join();
  });
  stop = true;
  for (std::thread& each : foreign) each.join();
  shared.load()->retire();
  rcu_barrier();
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(counted::alive, 0);
}

// Readers that park, nest and yield against writers that retire as fast as they can.
TYPED_TEST(Rcu, NobodyReadsWhatIsDestroyed) {
  this->in([] {
    constexpr std::size_t slots = 4;
    std::array<std::atomic<counted*>, slots> shared;
    for (auto& each : shared) each = new counted;
    std::atomic<bool> stop{false};
    std::atomic<long> bad{0};
    counting_semaphore<> permits(1);
    std::vector<thread> readers;
    for (unsigned r = 0; r < 6; ++r) {
      readers.emplace_back([&, r] {
        for (unsigned i = r; !stop; ++i) {
          const std::scoped_lock reading(rcu_default_domain());
          const counted* seen = shared[i % slots].load();
          if (i % 3 == 0) this_thread::yield();
          if (i % 7 == 0) {
            const std::scoped_lock again(rcu_default_domain());
            permits.acquire();
            if (shared[(i + 1) % slots].load()->word != counted::good) ++bad;
            permits.release();
          }
          if (seen->word != counted::good) ++bad;
          if (r == 0 && i % 64 == 0) this_thread::sleep_for(std::chrono::microseconds(50));
          if (r == 5) this_thread::yield();
        }
      });
    }
    std::vector<thread> writers;
    for (unsigned w = 0; w < 2; ++w) {
      writers.emplace_back([&, w] {
        for (unsigned i = 0; i < scaled(2000, true); ++i) {
          counted* old = shared[(i + w) % slots].exchange(new counted);
          if (i % 2 == 0) {
            old->retire();
          } else {
            rcu_retire(old);
          }
          if (i % 100 == 0) rcu_synchronize();
          if (i % 10 == 0) this_thread::yield();
        }
      });
    }
    for (thread& each : writers) each.join();
    stop = true;
    for (thread& each : readers) each.join();
    for (auto& each : shared) each.load()->retire();
    rcu_barrier();
    EXPECT_EQ(bad, 0);
    EXPECT_EQ(counted::alive, 0);
  });
}

TYPED_TEST(Rcu, ManyThreadsSynchronizeAtOnce) {
  this->in([] {
    std::vector<thread> writers;
    std::atomic<int> done{0};
    const std::size_t count = scaled(300, true);
    for (std::size_t i = 0; i < count; ++i) {
      writers.emplace_back([&] {
        rcu_synchronize();
        ++done;
        rcu_barrier();
      });
    }
    for (thread& each : writers) each.join();
    EXPECT_EQ(done, static_cast<int>(count));
  });
}

TYPED_TEST(Rcu, DeletersRunInOrderAndMayRetireAndPark) {
  this->in([] {
    std::vector<int> order;  // deleters run one at a time
    struct next {
      std::vector<int>* order;
      int number;
      void operator()(int* object) const {
        order->push_back(number);
        if (number % 10 == 0) this_thread::yield();
        if (number < 100) rcu_retire(object, next{order, number + 100});
        if (number >= 100) delete object;
      }
    };
    for (int i = 0; i < 100; ++i) rcu_retire(new int(i), next{&order, i});
    rcu_barrier();
    rcu_barrier();
    EXPECT_EQ(order.size(), 200U);
    // Those of the first round come in order, and so do those of the second.
    int last[2] = {-1, 99};
    for (const int number : order) {
      EXPECT_EQ(number, last[number / 100] + 1);
      last[number / 100] = number;
    }
  });
}

TYPED_TEST(Rcu, WhatARuntimeLeftIsDestroyedAtItsEnd) {
  {
    runtime own(TypeParam::options());
    own.run([] {
      for (int i = 0; i < 10; ++i) (new counted)->retire();
    });
  }
  EXPECT_EQ(counted::alive, 0);
}

TYPED_TEST(Rcu, PtrReadersSeeWholeVersions) {
  this->in([] {
    struct pair {
      long a = 0;
      long b = 0;
    };
    rcu_ptr<pair> shared(pair{0, 0});
    std::atomic<bool> stop{false};
    std::atomic<long> bad{0};
    std::vector<thread> readers;
    for (int r = 0; r < 3; ++r) {
      readers.emplace_back([&] {
        while (!stop) {
          const auto seen = shared.read();
          const long a = seen->a;
          this_thread::yield();
          if (a != seen->b) ++bad;
        }
      });
    }
    const long each = static_cast<long>(scaled(500, true));
    std::vector<thread> writers;
    for (int w = 0; w < 3; ++w) {
      writers.emplace_back([&] {
        for (long i = 0; i < each; ++i) {
          EXPECT_TRUE(shared.update([](pair& next) {
            ++next.a;
            ++next.b;
          }));
          if (i % 8 == 0) this_thread::yield();
        }
      });
    }
    for (thread& one : writers) one.join();
    stop = true;
    for (thread& one : readers) one.join();
    EXPECT_EQ(bad, 0);
    EXPECT_EQ(shared.read()->a, 3 * each);  // no update was lost
  });
}

TYPED_TEST(Rcu, PtrHoldsNothingOrSomething) {
  this->in([] {
    rcu_ptr<std::vector<int>> shared;
    EXPECT_FALSE(shared.read());
    EXPECT_EQ(shared.read().get(), nullptr);
    EXPECT_FALSE(shared.update([](std::vector<int>&) { FAIL(); }));
    shared.store({1, 2});
    {
      const auto seen = shared.read();
      shared.update([](std::vector<int>& next) { next.push_back(3); });
      EXPECT_EQ(seen->size(), 2U);
      EXPECT_EQ(shared.read()->size(), 3U);
      shared.reset();
      EXPECT_EQ(seen->size(), 2U);
    }
    EXPECT_FALSE(shared.read());
    rcu_barrier();
  });
}

using RcuDeathTest = ::testing::Test;

TEST(RcuDeathTest, UnlockOutsideOfASection) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(rcu_default_domain().unlock(), "rcu_domain::unlock.*in no read section");
}

TEST(RcuDeathTest, SynchronizeInsideASection) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        rcu_default_domain().lock();
        rcu_synchronize();
      },
      "rcu_synchronize.*inside a read section");
}

TEST(RcuDeathTest, BarrierInADeleter) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        rcu_retire(new int, [](int*) { rcu_barrier(); });
        rcu_barrier();
      },
      "rcu_barrier.*called by a deleter");
}

}  // namespace
}  // namespace treadle
