// Thread attributes and contention scope in every model.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <treadle/condition_variable.hpp>
#include <treadle/latch.hpp>
#include <treadle/mutex.hpp>
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
class Attributes : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Attributes, every_model, model_names);

constexpr std::size_t kib = 1024;

// Not inlined: the kernel thread under a treadle thread may change at every park.
[[gnu::noinline]] long kernel_thread() { return ::syscall(SYS_gettid); }

TYPED_TEST(Attributes, NameIsCopiedAndReadInside) {
  this->in([] {
    std::string seen;
    {
      std::string name = "loom";
      thread t(thread_attributes{.name = name}, [&seen] {
        this_thread::yield();
        seen = this_thread::name();
      });
      name = "gone";
      t.join();
    }
    EXPECT_EQ(seen, "loom");
  });
}

TYPED_TEST(Attributes, ALongNameIsCutNotRefused) {
  this->in([] {
    const std::string name(300, 'n');
    std::string seen;
    thread t(thread_attributes{.name = name}, [&seen] { seen = this_thread::name(); });
    t.join();
    EXPECT_GE(seen.size(), 15U);
    EXPECT_EQ(seen, name.substr(0, seen.size()));
  });
}

TYPED_TEST(Attributes, NamesBelongToTheirThreads) {
  this->in([] {
    std::vector<thread> threads;
    std::atomic<int> right{0};
    for (int i = 0; i < 50; ++i) {
      const std::string name = "worker-" + std::to_string(i);
      threads.emplace_back(thread_attributes{.name = name}, [&right, name] {
        this_thread::yield();
        if (this_thread::name() == name) right.fetch_add(1);
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(right, 50);
    // A reused record or stack keeps no old name.
    std::string unnamed = "?";
    thread t([&unnamed] { unnamed = this_thread::name(); });
    t.join();
    EXPECT_EQ(unnamed.find("worker"), std::string::npos);
  });
}

// Touches every page of a frame of that size.
template <std::size_t Bytes>
[[gnu::noinline]] std::size_t use_stack() {
  std::array<volatile unsigned char, Bytes> frame;
  for (std::size_t i = 0; i < Bytes; i += 512)
    frame[i] = static_cast<unsigned char>(i / 512 % 7 + 1);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < Bytes; i += 512) sum += frame[i];
  return sum;
}

TYPED_TEST(Attributes, StackSizesFromLeastToMost) {
  this->in([] {
    const std::size_t expected = use_stack<4 * kib>();
    const auto run = [expected](std::size_t bytes, auto body) {
      std::size_t sum = 0;
      thread t(thread_attributes{.stack_bytes = bytes}, [&sum, body] { sum = body(); });
      t.join();
      return sum;
    };
    EXPECT_EQ(run(16 * kib, [] { return use_stack<4 * kib>(); }), expected);
    EXPECT_NE(run(64 * kib, [] { return use_stack<40 * kib>(); }), 0U);
    EXPECT_NE(run(1024 * kib, [] { return use_stack<900 * kib>(); }), 0U);
    EXPECT_NE(run(8192 * kib, [] { return use_stack<7600 * kib>(); }), 0U);
    EXPECT_NE(run(100'000, [] { return use_stack<70'000>(); }), 0U);  // not a round number
  });
}

TYPED_TEST(Attributes, ManyDifferentStackSizesAtOnce) {
  this->in([] {
    std::vector<thread> threads;
    std::atomic<std::size_t> sum{0};
    for (std::size_t i = 0; i < scaled(200); ++i) {
      const std::size_t bytes = (16 + 16 * (i % 20)) * kib;
      threads.emplace_back(thread_attributes{.stack_bytes = bytes}, [&sum] {
        this_thread::yield();
        sum.fetch_add(use_stack<4 * kib>());
      });
    }
    for (thread& t : threads) t.join();
    EXPECT_EQ(sum, threads.size() * use_stack<4 * kib>());
  });
}

template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TYPED_TEST(Attributes, AStackSizeOutOfBoundsIsRefusedInWords) {
  this->in([] {
    for (const std::size_t bytes : {std::size_t{1}, kib, 16 * kib - 1, 8192 * kib + 1,
                                    std::size_t{1} << 40, ~std::size_t{0}}) {
      bool ran = false;
      const std::string text = refusal([&] {
        thread t(thread_attributes{.stack_bytes = bytes}, [&ran] { ran = true; });
        t.join();
      });
      EXPECT_NE(text.find("stack"), std::string::npos) << text;
      EXPECT_NE(text.find(std::to_string(bytes)), std::string::npos) << text;
      EXPECT_NE(text.find("16"), std::string::npos) << "what is allowed: " << text;
      EXPECT_FALSE(ran);
    }
  });
}

TYPED_TEST(Attributes, SystemScopeHasAKernelThreadOfItsOwn) {
  this->in([] {
    constexpr int count = 4;
    std::array<std::atomic<long>, count> before{};
    std::array<long, count> after{};
    std::vector<thread> threads;
    latch all(count);
    for (int i = 0; i < count; ++i) {
      threads.emplace_back(thread_attributes{.name = "own", .scope = contention_scope::system},
                           [&, i] {
                             before[static_cast<std::size_t>(i)] = kernel_thread();
                             all.arrive_and_wait();
                             this_thread::sleep_for(std::chrono::microseconds(50));
                             after[static_cast<std::size_t>(i)] = kernel_thread();
                           });
    }
    // Threads of process scope beside them, on the runtime's workers.
    std::atomic<bool> shared{false};
    thread neighbour([&] {
      for (int i = 0; i < 50; ++i) {
        const long mine = kernel_thread();
        for (const auto& other : before) shared = shared || other.load() == mine;
        this_thread::yield();
      }
    });
    for (thread& t : threads) t.join();
    neighbour.join();
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(before[i], after[i]);
    EXPECT_EQ(std::set<long>(after.begin(), after.end()).size(), std::size_t{count});
    EXPECT_FALSE(shared);
  });
}

TYPED_TEST(Attributes, SystemScopeMeetsProcessScope) {
  this->in([] {
    mutex m;
    condition_variable changed;
    int turn = 0;
    constexpr int rounds = 200;
    const auto play = [&](int me) {
      for (int i = 0; i < rounds; ++i) {
        std::unique_lock hold(m);
        changed.wait(hold, [&] { return turn % 2 == me; });
        ++turn;
        changed.notify_all();
      }
    };
    thread own(thread_attributes{.scope = contention_scope::system}, play, 0);
    thread shared(play, 1);
    own.join();
    shared.join();
    EXPECT_EQ(turn, 2 * rounds);
  });
}

TYPED_TEST(Attributes, SystemScopeThreadMakesThreads) {
  this->in([] {
    std::atomic<int> sum{0};
    thread own(thread_attributes{.scope = contention_scope::system}, [&sum] {
      std::vector<thread> children;
      for (int i = 0; i < 10; ++i) children.emplace_back([&sum, i] { sum.fetch_add(i); });
      for (thread& t : children) t.join();
    });
    own.join();
    EXPECT_EQ(sum, 45);
  });
}

TYPED_TEST(Attributes, ProcessScopeUsesAsManyKernelThreadsAsTheModelSays) {
  std::set<long> used;
  this->in([&used] {
    mutex m;
    latch all(12);
    std::vector<thread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 20; ++round) {
          {
            const std::lock_guard hold(m);
            used.insert(kernel_thread());
          }
          this_thread::yield();
        }
        all.arrive_and_wait();
      });
    }
    for (thread& t : threads) t.join();
  });
  if (TestFixture::kind == model::one_to_one) {
    EXPECT_EQ(used.size(), 12U);
  } else {
    EXPECT_LE(used.size(), this->runtime_.width());
    EXPECT_EQ(used.count(kernel_thread()), 0U) << "main is not a worker";
  }
}

}  // namespace
}  // namespace treadle
