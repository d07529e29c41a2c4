// blocking_region in every model: a program with regions does what it does without, and in M:N a
// region lets the rest run.
#include <treadle/blocking_region.hpp>

#include <gtest/gtest.h>

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <treadle/latch.hpp>
#include <treadle/mutex.hpp>
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
class BlockingRegion : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(BlockingRegion, every_model, model_names);

// A pipe whose reader blocks its kernel thread.
class blocking_pipe {
 public:
  blocking_pipe() { EXPECT_EQ(::pipe(ends_), 0); }
  ~blocking_pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  char read_one() {
    char byte = 0;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
    return byte;
  }
  void write_one(char byte) { EXPECT_EQ(::write(ends_[1], &byte, 1), 1); }

 private:
  int ends_[2] = {-1, -1};
};

TYPED_TEST(BlockingRegion, DoesNothingToTheProgram) {
  this->in([] {
    int value = 0;
    {
      blocking_region here;
      value = 1;
    }
    EXPECT_EQ(value, 1);
    {
      blocking_region outer;
      blocking_region inner;
      value = 2;
    }
    EXPECT_EQ(value, 2);
  });
}

TYPED_TEST(BlockingRegion, FromAForeignThread) {
  blocking_region here;
  SUCCEED();
}

TYPED_TEST(BlockingRegion, ShortCallsInALoop) {
  std::atomic<int> sum{0};
  this->in([&] {
    std::vector<thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (std::size_t n = 0; n < scaled(2000); ++n) {
          {
            blocking_region here;
            ::sched_yield();
          }
          if (n % 8 == 0) this_thread::yield();
        }
        ++sum;
      });
    }
    for (thread& one : threads) one.join();
  });
  EXPECT_EQ(sum.load(), 8);
}

TYPED_TEST(BlockingRegion, EverythingMayBeUsedInside) {
  this->in([] {
    mutex guard;
    counting_semaphore<> tokens(0);
    int count = 0;
    std::vector<thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        for (std::size_t n = 0; n < scaled(500); ++n) {
          blocking_region here;
          {
            const std::lock_guard hold(guard);
            ++count;
            if (n % 16 == 0) this_thread::yield();
          }
          thread child([&] { tokens.release(); });
          tokens.acquire();
          child.join();
        }
      });
    }
    for (thread& one : threads) one.join();
    EXPECT_EQ(count, static_cast<int>(6 * scaled(500)));
  });
}

TYPED_TEST(BlockingRegion, AnExceptionMayLeaveIt) {
  this->in([] {
    bool caught = false;
    try {
      blocking_region here;
      throw std::runtime_error("out");
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  });
}

TYPED_TEST(BlockingRegion, AThreadMayEndInside) {
  std::atomic<bool> done{false};
  this->in([&] {
    thread one([&] {
      blocking_region here;
      done = true;
    });
    one.join();
    scope group;
    for (int i = 0; i < 4; ++i) {
      group.spawn([] {
        blocking_region here;
        ::sched_yield();
      });
    }
    group.join();
  });
  EXPECT_TRUE(done.load());
}

// Where the model can, the others go on: here they must, or the reader waits for ever.
TYPED_TEST(BlockingRegion, TheRestRunsMeanwhile) {
  if (TestFixture::kind == model::many_to_one) GTEST_SKIP() << "one kernel thread: it blocks";
  blocking_pipe wire;
  char got = 0;
  this->in([&] {
    thread reader([&] {
      blocking_region here;
      got = wire.read_one();
    });
    std::atomic<int> turns{0};
    thread other([&] {
      for (int i = 0; i < 100; ++i) {
        ++turns;
        this_thread::yield();
      }
    });
    eventually([&] { return turns.load() == 100; });
    wire.write_one('x');
    reader.join();
    other.join();
  });
  EXPECT_EQ(got, 'x');
}

// Nothing is ready when the region begins: work that comes later must find the processor.
TYPED_TEST(BlockingRegion, WorkFromOutsideFindsTheProcessor) {
  if (TestFixture::kind == model::many_to_one) GTEST_SKIP() << "one kernel thread: it blocks";
  for (std::size_t round = 0; round < scaled(100); ++round) {
    blocking_pipe wire;
    counting_semaphore<> ready(0);
    char got = 0;
    std::atomic<bool> blocked{false};
    std::thread outside([&] {
      while (!blocked.load()) std::this_thread::yield();
      ready.release();
    });
    this->in([&] {
      thread writer([&] {
        ready.acquire();
        wire.write_one('y');
      });
      thread reader([&] {
        blocked = true;
        blocking_region here;
        got = wire.read_one();
      });
      reader.join();
      writer.join();
    });
    outside.join();
    EXPECT_EQ(got, 'y');
  }
}

// A sleeper's time comes while its processor's worker is blocked.
TYPED_TEST(BlockingRegion, TimersGoOn) {
  if (TestFixture::kind == model::many_to_one) GTEST_SKIP() << "one kernel thread: it blocks";
  blocking_pipe wire;
  this->in([&] {
    thread sleeper([&] {
      this_thread::sleep_for(std::chrono::milliseconds(2));
      wire.write_one('z');
    });
    this_thread::yield();
    blocking_region here;
    EXPECT_EQ(wire.read_one(), 'z');
    sleeper.join();
  });
}

// More threads in the kernel than there are workers: all come back.
TYPED_TEST(BlockingRegion, ManyAtOnce) {
  if (TestFixture::kind == model::many_to_one) GTEST_SKIP() << "one kernel thread: it blocks";
  const std::size_t count = scaled(300, TestFixture::own_kernel_threads);
  blocking_pipe wire;
  std::atomic<std::size_t> back{0};
  std::atomic<std::size_t> begun{0};
  this->in([&] {
    std::vector<thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        ++begun;
        {
          blocking_region here;
          wire.read_one();
        }
        ++back;
      });
    }
    eventually([&] { return begun.load() == count; });
    for (std::size_t i = 0; i < count; ++i) wire.write_one('.');
    for (thread& one : threads) one.join();
  });
  EXPECT_EQ(back.load(), count);
}

}  // namespace
}  // namespace treadle
