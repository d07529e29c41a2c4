// thread in every model: construction, arguments, moving, joining, ids.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Thread : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Thread, every_model, model_names);

static_assert(std::is_nothrow_default_constructible_v<thread>);
static_assert(std::is_nothrow_move_constructible_v<thread>);
static_assert(std::is_nothrow_move_assignable_v<thread>);
static_assert(!std::is_copy_constructible_v<thread>);
static_assert(!std::is_copy_assignable_v<thread>);
static_assert(std::is_trivially_copyable_v<thread::id>);
static_assert(!std::is_convertible_v<void (*)(), thread>, "the constructor is explicit");

template <class F>
std::error_code error_of(F&& f) {
  try {
    f();
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

TYPED_TEST(Thread, DefaultConstructedIsNobody) {
  const thread t;
  EXPECT_FALSE(t.joinable());
  EXPECT_EQ(t.get_id(), thread::id());
}

TYPED_TEST(Thread, RunsAFunctionObjectOnce) {
  this->in([] {
    int runs = 0;
    thread t([&runs] { ++runs; });
    EXPECT_TRUE(t.joinable());
    t.join();
    EXPECT_FALSE(t.joinable());
    EXPECT_EQ(t.get_id(), thread::id());
    EXPECT_EQ(runs, 1);
  });
}

int plain_result = 0;
void plain(int a, int b) { plain_result = a - b; }

struct member {
  int value = 0;
  void add(int more) { value += more; }
  void add_const(int* out) const { *out = value + 1; }
};

TYPED_TEST(Thread, CallsWhatInvokeCalls) {
  this->in([] {
    thread f(plain, 7, 3);
    f.join();
    EXPECT_EQ(plain_result, 4);
    thread g(&plain, 3, 7);
    g.join();
    EXPECT_EQ(plain_result, -4);

    member object;
    thread by_pointer(&member::add, &object, 5);
    by_pointer.join();
    thread by_reference(&member::add, std::ref(object), 6);
    by_reference.join();
    EXPECT_EQ(object.value, 11);
    thread on_a_copy(&member::add, object, 100);
    on_a_copy.join();
    EXPECT_EQ(object.value, 11);
    int out = 0;
    thread constant(&member::add_const, std::cref(object), &out);
    constant.join();
    EXPECT_EQ(out, 12);

    const auto shared = std::make_shared<member>();
    thread by_smart_pointer(&member::add, shared, 2);
    by_smart_pointer.join();
    EXPECT_EQ(shared->value, 2);
  });
}

TYPED_TEST(Thread, ArgumentsDecayAndAreCopiedBeforeTheConstructorReturns) {
  this->in([] {
    std::string text = "before";
    std::array<char, 8> letters{"letters"};
    std::string seen;
    binary_semaphore go(0);
    thread t(
        [&](const std::string& copied, const char* pointer, std::string converted, int&& moved) {
          go.acquire();
          seen = copied + "," + pointer + "," + converted + "," + std::to_string(moved);
        },
        text, "literal", letters.data(), 5);
    text = "after";
    go.release();
    t.join();
    EXPECT_EQ(seen, "before,literal,letters,5");
  });
}

TYPED_TEST(Thread, MoveOnlyCallablesAndArguments) {
  this->in([] {
    int seen = 0;
    thread t([owned = std::make_unique<int>(4),
              &seen](std::unique_ptr<int> other) { seen = *owned * 10 + *other; },
             std::make_unique<int>(2));
    t.join();
    EXPECT_EQ(seen, 42);
  });
}

// Counts its living copies.
struct counted {
  static inline std::atomic<int> alive{0};
  counted() { alive.fetch_add(1); }
  counted(const counted&) { alive.fetch_add(1); }
  counted(counted&&) noexcept { alive.fetch_add(1); }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&&) = default;
  ~counted() { alive.fetch_sub(1); }
  void operator()(const counted&) const {}
};

TYPED_TEST(Thread, ClosureAndArgumentsAreDestroyedBeforeJoinReturns) {
  this->in([] {
    ASSERT_EQ(counted::alive, 0);
    {
      const counted original;
      thread t(original, original);
      t.join();
      EXPECT_EQ(counted::alive, 1);
    }
    EXPECT_EQ(counted::alive, 0);
  });
}

struct refuses_to_be_copied {
  refuses_to_be_copied() = default;
  refuses_to_be_copied(const refuses_to_be_copied&) { throw std::runtime_error("no copy"); }
  void operator()() const {}
};

TYPED_TEST(Thread, AThrowingCopyThrowsInTheCaller) {
  this->in([] {
    const refuses_to_be_copied f;
    EXPECT_THROW(thread t(f), std::runtime_error);
    // Nothing is left behind: the next thread works as ever.
    thread t([] {});
    t.join();
  });
}

template <std::size_t Bytes, std::size_t Alignment>
void run_with_closure() {
  struct alignas(Alignment) payload {
    std::array<unsigned char, Bytes> bytes;
  };
  payload data{};
  for (std::size_t i = 0; i < Bytes; ++i) data.bytes[i] = static_cast<unsigned char>(i * 7);
  bool same = false;
  bool aligned = false;
  thread t([data, &same, &aligned, from = &data] {
    same = std::memcmp(data.bytes.data(), from->bytes.data(), Bytes) == 0;
    aligned = reinterpret_cast<std::uintptr_t>(&data) % Alignment == 0;
  });
  t.join();
  EXPECT_TRUE(same) << Bytes;
  EXPECT_TRUE(aligned) << Alignment;
}

TYPED_TEST(Thread, ClosuresOfEverySize) {
  this->in([] {
    run_with_closure<1, 1>();
    run_with_closure<8, 8>();
    run_with_closure<16, 16>();
    run_with_closure<24, 8>();
    run_with_closure<64, 64>();
    run_with_closure<200, 32>();
    run_with_closure<256, 256>();
    run_with_closure<4096, 16>();
    run_with_closure<30'000, 8>();
  });
}

TYPED_TEST(Thread, AClosureLargerThanTheStack) {
  this->in([] {
    thread roomy(thread_attributes{.stack_bytes = std::size_t{4} << 20},
                 [] { run_with_closure<600'000, 8>(); });
    roomy.join();
  });
}

TYPED_TEST(Thread, MoveAndSwap) {
  this->in([] {
    binary_semaphore end(0);
    thread a([&end] { end.acquire(); });
    const thread::id id = a.get_id();
    thread b(std::move(a));
    EXPECT_FALSE(a.joinable());  // NOLINT: what moving leaves is specified
    EXPECT_EQ(b.get_id(), id);
    thread c;
    c = std::move(b);
    EXPECT_FALSE(b.joinable());  // NOLINT
    EXPECT_EQ(c.get_id(), id);
    c.swap(a);
    EXPECT_EQ(a.get_id(), id);
    EXPECT_FALSE(c.joinable());
    using std::swap;
    swap(a, c);
    EXPECT_EQ(c.get_id(), id);
    end.release();
    c.join();
  });
}

TYPED_TEST(Thread, JoinedByAnotherThreadThanItsMaker) {
  this->in([] {
    int value = 0;
    thread inner([&value] { value = 1; });
    thread outer([inner = std::move(inner), &value]() mutable {
      inner.join();
      ++value;
    });
    outer.join();
    EXPECT_EQ(value, 2);
  });
}

TYPED_TEST(Thread, JoinMakesTheThreadsWritesVisible) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(400); ++round) {
      std::size_t value = 0;  // plain: the join alone orders it
      thread t([&value, round] { value = round + 1; });
      if (round % 2 == 0) this_thread::yield();
      t.join();
      ASSERT_EQ(value, round + 1);
    }
  });
}

TYPED_TEST(Thread, JoinErrors) {
  this->in([] {
    thread none;
    EXPECT_EQ(error_of([&] { none.join(); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([&] { none.detach(); }), std::errc::invalid_argument);

    thread once([] {});
    once.join();
    EXPECT_EQ(error_of([&] { once.join(); }), std::errc::invalid_argument);
    EXPECT_EQ(error_of([&] { once.detach(); }), std::errc::invalid_argument);

    thread self;
    std::error_code code;
    binary_semaphore made(0);
    self = thread([&] {
      made.acquire();
      code = error_of([&] { self.join(); });
    });
    made.release();
    eventually([&] { return self.joinable(); });
    self.join();
    EXPECT_EQ(code, std::errc::resource_deadlock_would_occur);
  });
}

TYPED_TEST(Thread, DetachedRunsOn) {
  std::atomic<int> done{0};
  this->in([&done] {
    for (int i = 0; i < 20; ++i) {
      thread t([&done] {
        this_thread::yield();
        done.fetch_add(1);
      });
      t.detach();
      EXPECT_FALSE(t.joinable());
    }
    eventually([&done] { return done == 20; });
  });
}

TYPED_TEST(Thread, IdsAreUniqueOrderedHashedAndPrinted) {
  this->in([] {
    constexpr std::size_t count = 64;
    counting_semaphore<> end(0);
    std::vector<thread> threads;
    std::array<thread::id, count> seen_inside;
    std::atomic<std::size_t> started{0};
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        seen_inside[i] = this_thread::get_id();
        started.fetch_add(1);
        end.acquire();
      });
    }
    eventually([&] { return started == count; });
    std::set<thread::id> ordered{this_thread::get_id()};
    std::unordered_set<thread::id> hashed{this_thread::get_id()};
    std::set<std::string> printed;
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(threads[i].get_id(), seen_inside[i]);
      EXPECT_NE(threads[i].get_id(), thread::id());
      ordered.insert(threads[i].get_id());
      hashed.insert(threads[i].get_id());
      std::ostringstream text;
      text << threads[i].get_id();
      printed.insert(text.str());
    }
    EXPECT_EQ(ordered.size(), count + 1);
    EXPECT_EQ(hashed.size(), count + 1);
    EXPECT_EQ(printed.size(), count);
    EXPECT_EQ((threads[0].get_id() <=> seen_inside[0]), std::strong_ordering::equal);
    EXPECT_EQ(std::hash<thread::id>()(threads[1].get_id()),
              std::hash<thread::id>()(seen_inside[1]));
    end.release(count);
    for (thread& t : threads) t.join();
  });
}

TYPED_TEST(Thread, IdStaysTheSameOverParks) {
  this->in([] {
    const auto check = [] {
      const thread::id id = this_thread::get_id();
      for (int i = 0; i < 50; ++i) {
        this_thread::yield();
        ASSERT_EQ(this_thread::get_id(), id);
        this_thread::sleep_for(std::chrono::microseconds(i));
        ASSERT_EQ(this_thread::get_id(), id);
      }
    };
    std::vector<thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(check);
    for (thread& t : threads) t.join();
  });
}

TYPED_TEST(Thread, ThreadsMakeThreads) {
  this->in([] {
    std::atomic<int> leaves{0};
    struct grower {
      static void grow(std::atomic<int>& leaves, int depth) {
        if (depth == 0) {
          leaves.fetch_add(1);
          return;
        }
        thread left(grow, std::ref(leaves), depth - 1);
        thread right(grow, std::ref(leaves), depth - 1);
        left.join();
        right.join();
      }
    };
    grower::grow(leaves, 6);
    EXPECT_EQ(leaves, 64);
  });
}

TYPED_TEST(Thread, HardwareConcurrencyIsKnown) { EXPECT_GE(thread::hardware_concurrency(), 1U); }

}  // namespace
}  // namespace treadle
