// future, shared_future, promise and packaged_task in every model, and with foreign kernel threads
// on either side.
#include <treadle/future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/semaphore.hpp>
#include <treadle/thread_specific.hpp>
#include <tuple>
#include <vector>

#include "tests/support/limited_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;
using testing_support::stopped_token;
using testing_support::yield_times;

static_assert(!std::is_copy_constructible_v<future<int>>);
static_assert(std::is_nothrow_move_constructible_v<future<int>>);
static_assert(std::is_copy_constructible_v<shared_future<int>>);
static_assert(std::is_nothrow_move_assignable_v<promise<int>>);
static_assert(!std::is_copy_constructible_v<promise<int>>);
static_assert(!std::is_copy_constructible_v<packaged_task<void()>>);
static_assert(std::is_same_v<decltype(std::declval<future<int>>().get()), int>);
static_assert(std::is_same_v<decltype(std::declval<shared_future<int>>().get()), const int&>);
static_assert(std::is_same_v<decltype(std::declval<shared_future<int&>>().get()), int&>);
static_assert(std::is_same_v<decltype(std::declval<shared_future<void>>().get()), void>);
static_assert(std::uses_allocator_v<promise<int>, std::allocator<int>>);
static_assert(sizeof(detail::result_state<int>) <= 2 * 64, "two cache lines at most");

template <class F>
void expect_error(future_errc why, F f) {
  try {
    f();
    ADD_FAILURE() << "no exception";
  } catch (const future_error& e) {
    EXPECT_EQ(e.code(), why);
  }
}

template <class Model>
class Future : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Future, every_model, model_names);

TYPED_TEST(Future, ValuesReferencesAndNothing) {
  this->in([] {
    promise<std::unique_ptr<int>> value;
    promise<int&> reference;
    promise<void> nothing;
    auto from_value = value.get_future();
    auto from_reference = reference.get_future();
    auto from_nothing = nothing.get_future();
    int there = 1;
    bool done = false;  // plain: the future orders it
    thread provider([&] {
      value.set_value(std::make_unique<int>(7));
      reference.set_value(there);
      done = true;
      nothing.set_value();
    });
    EXPECT_EQ(*from_value.get(), 7);
    EXPECT_EQ(&from_reference.get(), &there);
    from_nothing.get();
    EXPECT_TRUE(done);
    EXPECT_FALSE(from_value.valid());
    EXPECT_FALSE(from_nothing.valid());
    provider.join();
  });
}

TYPED_TEST(Future, ErrorsAreTheStandards) {
  this->in([] {
    future<int> none;
    EXPECT_FALSE(none.valid());
    expect_error(future_errc::no_state, [&] { none.get(); });
    expect_error(future_errc::no_state, [&] { none.wait(); });
    expect_error(future_errc::no_state, [&] { static_cast<void>(none.wait_for(0s)); });
    expect_error(future_errc::no_state, [&] { static_cast<void>(none.try_wait({})); });
    expect_error(future_errc::no_state, [] { shared_future<int>().get(); });
    promise<int> p;
    promise<int> taken = std::move(p);
    expect_error(future_errc::no_state, [&] { p.set_value(1); });
    expect_error(future_errc::no_state, [&] { static_cast<void>(p.get_future()); });
    auto f = taken.get_future();
    expect_error(future_errc::future_already_retrieved,
                 [&] { static_cast<void>(taken.get_future()); });
    EXPECT_THROW(taken.set_exception(nullptr), std::invalid_argument);
    taken.set_value(3);
    expect_error(future_errc::promise_already_satisfied, [&] { taken.set_value(4); });
    expect_error(future_errc::promise_already_satisfied,
                 [&] { taken.set_exception(std::make_exception_ptr(1)); });
    expect_error(future_errc::promise_already_satisfied,
                 [&] { taken.set_value_at_thread_exit(4); });
    EXPECT_EQ(f.get(), 3);
    expect_error(future_errc::no_state, [&] { f.get(); });
    {
      promise<int> broken;
      f = broken.get_future();
    }
    expect_error(future_errc::broken_promise, [&] { f.get(); });
    promise<int> replaced;
    f = replaced.get_future();
    replaced = promise<int>();
    expect_error(future_errc::broken_promise, [&] { f.get(); });
    expect_error(future_errc::no_state, [] { packaged_task<void()>()(); });
  });
}

TYPED_TEST(Future, AValueThatCannotBeCopiedIsNotSet) {
  this->in([] {
    struct picky {
      picky() = default;
      picky(const picky& other) : refuses(other.refuses) {
        if (refuses) throw std::runtime_error("refused");
      }
      picky(picky&&) = default;
      bool refuses = false;
    };
    promise<picky> p;
    auto f = p.get_future();
    picky value;
    value.refuses = true;
    EXPECT_THROW(p.set_value(value), std::runtime_error);
    EXPECT_EQ(f.wait_for(0s), future_status::timeout);
    value.refuses = false;
    p.set_value(value);
    EXPECT_FALSE(f.get().refuses);
  });
}

TYPED_TEST(Future, ExceptionsArrive) {
  this->in([] {
    promise<void> p;
    const auto shared = p.get_future().share();
    p.set_exception(std::make_exception_ptr(std::runtime_error("here")));
    for (int i = 0; i < 2; ++i) {
      try {
        shared.get();
        ADD_FAILURE() << "no exception";
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "here");
      }
    }
  });
}

TYPED_TEST(Future, WaitsWithinLimits) {
  this->in([] {
    promise<int> p;
    auto f = p.get_future();
    EXPECT_EQ(f.wait_for(-1h), future_status::timeout);
    EXPECT_EQ(f.wait_for(100us), future_status::timeout);
    EXPECT_EQ(f.wait_until(std::chrono::system_clock::now() + 100us), future_status::timeout);
    EXPECT_FALSE(f.try_wait(0s));
    EXPECT_FALSE(f.try_wait(100us));
    EXPECT_FALSE(f.try_wait(stopped_token()));
    stop_source source;
    thread stopper([&] {
      yield_times(3);
      source.request_stop();
    });
    EXPECT_FALSE(f.try_wait({1h, source.get_token()}));
    stopper.join();
    thread provider([&] {
      yield_times(3);
      p.set_value(1);
    });
    EXPECT_EQ(f.wait_for(std::chrono::hours::max()), future_status::ready);
    EXPECT_TRUE(f.try_wait(stopped_token()));  // what is there is taken
    EXPECT_EQ(f.wait_until(std::chrono::steady_clock::time_point::min()), future_status::ready);
    EXPECT_EQ(f.get(), 1);
    provider.join();
  });
}

// Time-outs and stops against the outcome.
TYPED_TEST(Future, GivesUpWhileTheOutcomeComes) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(2000, TestFixture::own_kernel_threads); ++i) {
      promise<std::size_t> p;
      auto f = p.get_future();
      stop_source source;
      thread provider([&, i] {
        yield_times(i % 3);
        if (i % 2 == 0) source.request_stop();
        p.set_value(i);
        if (i % 2 == 1) source.request_stop();
      });
      static_cast<void>(f.try_wait({std::chrono::microseconds(i % 7), source.get_token()}));
      ASSERT_EQ(f.get(), i);
      provider.join();
    }
  });
}

// The classic use after free: the waiter destroys everything as soon as it is woken.
TYPED_TEST(Future, DestroyedRightAfterTheWakeUp) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(3000, TestFixture::own_kernel_threads); ++i) {
      auto p = std::make_unique<promise<std::string>>();
      auto f = p->get_future();
      thread provider([raw = p.get()] { raw->set_value("a string that is on the heap"); });
      if (i % 2 == 0) this_thread::yield();
      if (i % 3 == 0) {
        eventually([&f] { return f.wait_for(0s) == future_status::ready; });
      }
      ASSERT_EQ(f.get().size(), 28U);
      p.reset();
      provider.join();
    }
  });
}

TYPED_TEST(Future, SharedByMany) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(50); ++round) {
      promise<int> p;
      shared_future<int> all = p.get_future();
      std::atomic<int> sum{0};
      std::vector<thread> threads;
      for (int i = 0; i < 20; ++i) {
        threads.emplace_back([mine = all, &sum] { sum.fetch_add(mine.get()); });
      }
      if (round % 2 == 0) this_thread::yield();
      p.set_value(2);
      for (thread& t : threads) t.join();
      ASSERT_EQ(sum, 40);
      ASSERT_EQ(&all.get(), &shared_future<int>(all).get());
    }
  });
}

TYPED_TEST(Future, OneOfManyProvidersWins) {
  this->in([] {
    for (std::size_t round = 0; round < scaled(200, TestFixture::own_kernel_threads); ++round) {
      promise<int> p;
      auto f = p.get_future();
      std::atomic<int> refused{0};
      std::vector<thread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
          try {
            p.set_value(i);
          } catch (const future_error&) {
            refused.fetch_add(1);
          }
        });
      }
      const int got = f.get();
      for (thread& t : threads) t.join();
      ASSERT_EQ(refused, 3);
      ASSERT_GE(got, 0);
    }
  });
}

TYPED_TEST(Future, AtThreadExit) {
  this->in([] {
    struct last_words {
      ~last_words() {
        if (said != nullptr) *said = true;
      }
      bool* said = nullptr;
    };
    thread_specific<last_words> words;
    bool said = false;  // plain: the future orders it
    promise<int> p;
    promise<void> failed;
    packaged_task<int(int)> task([](int n) { return n + 1; });
    auto f = p.get_future();
    auto from_failed = failed.get_future();
    auto from_task = task.get_future();
    binary_semaphore stored(0);
    binary_semaphore end(0);
    thread t([&] {
      words.get().said = &said;
      p.set_value_at_thread_exit(5);
      failed.set_exception_at_thread_exit(std::make_exception_ptr(std::runtime_error("late")));
      task.make_ready_at_thread_exit(6);
      expect_error(future_errc::promise_already_satisfied, [&] { p.set_value(6); });
      { const promise<int> gone = std::move(p); }
      stored.release();
      end.acquire();
    });
    stored.acquire();
    EXPECT_EQ(f.wait_for(0s), future_status::timeout);
    EXPECT_EQ(from_task.wait_for(0s), future_status::timeout);
    end.release();
    EXPECT_EQ(f.get(), 5);
    EXPECT_TRUE(said);
    EXPECT_EQ(from_task.get(), 7);
    EXPECT_THROW(from_failed.get(), std::runtime_error);
    t.join();
  });
}

// What an allocator may use instead of a plain pointer, as far as promises need it.
template <class T>
struct fancy_pointer {
  using element_type = T;
  static fancy_pointer pointer_to(T& of) noexcept { return {std::addressof(of)}; }
  T* operator->() const noexcept { return raw; }
  T& operator*() const noexcept { return *raw; }
  T* raw = nullptr;
};
template <>
struct fancy_pointer<void> {
  using element_type = void;
};

// Counts what it has given out.
template <class T>
struct fancy_allocator {
  using value_type = T;
  using pointer = fancy_pointer<T>;
  using const_pointer = fancy_pointer<const T>;
  using void_pointer = fancy_pointer<void>;
  using const_void_pointer = fancy_pointer<void>;
  explicit fancy_allocator(int* counter) noexcept : living(counter) {}
  template <class Other>
  fancy_allocator(const fancy_allocator<Other>& other) noexcept : living(other.living) {}  // NOLINT
  pointer allocate(std::size_t count) {
    ++*living;
    return {std::allocator<T>().allocate(count)};
  }
  void deallocate(pointer memory, std::size_t count) noexcept {
    --*living;
    std::allocator<T>().deallocate(memory.raw, count);
  }
  int* living;
};

TYPED_TEST(Future, WithAnAllocatorOfFancyPointers) {
  this->in([] {
    int living = 0;
    const fancy_allocator<char> allocator(&living);
    {
      promise<std::string> first(std::allocator_arg, allocator);
      EXPECT_EQ(living, 1);
      auto f = first.get_future();
      // As containers with allocators construct: what is moved keeps the memory that it has.
      promise<std::string> moved(std::allocator_arg, std::allocator<char>(), std::move(first));
      EXPECT_EQ(living, 1);
      moved.set_value("text");
      EXPECT_EQ(f.get(), "text");
    }
    EXPECT_EQ(living, 0);
    const std::tuple<promise<int&>, promise<void>> pair(std::allocator_arg, std::allocator<char>(),
                                                        promise<int&>(), promise<void>());
  });
}

TYPED_TEST(Future, WithAnAllocator) {
  this->in([] {
    std::pmr::monotonic_buffer_resource memory;
    const std::pmr::polymorphic_allocator<int> allocator(&memory);
    promise<std::string> p(std::allocator_arg, allocator);
    auto f = p.get_future();
    swap(p, p);
    p.set_value("text");
    EXPECT_EQ(f.get(), "text");
    const promise<int&> reference(std::allocator_arg, std::allocator<char>());
    const promise<void> nothing(std::allocator_arg, std::allocator<char>());
  });
}

TYPED_TEST(Future, PackagedTasks) {
  this->in([] {
    packaged_task task([](int a, std::unique_ptr<int> b) { return a + *b; });
    static_assert(std::is_same_v<decltype(task), packaged_task<int(int, std::unique_ptr<int>)>>);
    auto f = task.get_future();
    expect_error(future_errc::future_already_retrieved,
                 [&] { static_cast<void>(task.get_future()); });
    thread t(std::move(task), 1, std::make_unique<int>(2));
    EXPECT_EQ(f.get(), 3);
    t.join();
    EXPECT_FALSE(task.valid());

    int calls = 0;
    packaged_task<int&()> again([&calls]() -> int& {
      if (++calls == 2) throw std::runtime_error("second");
      return calls;
    });
    auto first = again.get_future();
    again();
    expect_error(future_errc::promise_already_satisfied, [&] { again(); });
    EXPECT_EQ(&first.get(), &calls);
    again.reset();
    auto second = again.get_future();
    again();
    EXPECT_THROW(second.get(), std::runtime_error);
    again.reset();
    auto third = again.get_future();
    again = packaged_task<int&()>();
    expect_error(future_errc::broken_promise, [&] { third.get(); });
    EXPECT_EQ(calls, 2);
    packaged_task<void(int)> ignores_result([](int n) { return n; });
    ignores_result(1);
    ignores_result.get_future().get();
  });
}

// Each side in turn a kernel thread that the runtime did not start. In the default runtime.
TYPED_TEST(Future, ForeignKernelThreads) {
  for (std::size_t i = 0; i < scaled(200); ++i) {
    promise<std::size_t> there;
    promise<std::size_t> back;
    promise<std::size_t> last;
    auto from_there = there.get_future();
    auto from_back = back.get_future();
    auto from_last = last.get_future();
    std::thread foreign([&] {
      back.set_value(from_there.get() + 1);
      last.set_value_at_thread_exit(i);
    });
    this->in([&] {
      there.set_value(i);
      ASSERT_EQ(from_back.get(), i + 1);
      ASSERT_EQ(from_last.get(), i);
    });
    foreign.join();
  }
}

}  // namespace
}  // namespace treadle
