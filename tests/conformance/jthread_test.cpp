// jthread and stop tokens in every model.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <treadle/condition_variable.hpp>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class Jthread : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Jthread, every_model, model_names);

static_assert(std::is_nothrow_default_constructible_v<jthread>);
static_assert(std::is_nothrow_move_constructible_v<jthread>);
static_assert(!std::is_copy_constructible_v<jthread>);
static_assert(std::is_same_v<jthread::id, thread::id>);
static_assert(std::is_same_v<stop_token, std::stop_token>);

TYPED_TEST(Jthread, JoinsInItsDestructor) {
  this->in([] {
    int value = 0;
    {
      const jthread t([&value] {
        for (int i = 0; i < 10; ++i) this_thread::yield();
        value = 1;
      });
    }
    EXPECT_EQ(value, 1);
  });
}

TYPED_TEST(Jthread, DestructorRequestsStop) {
  this->in([] {
    bool stopped = false;
    {
      const jthread t([&stopped](const stop_token& token) {
        eventually([&token] { return token.stop_requested(); });
        stopped = true;
      });
    }
    EXPECT_TRUE(stopped);
  });
}

TYPED_TEST(Jthread, TokenComesFirstAndArgumentsFollow) {
  this->in([] {
    std::string seen;
    {
      jthread with(
          [&seen](const stop_token& token, int a, const std::string& b) {
            seen = std::to_string(token.stop_possible()) + std::to_string(a) + b;
          },
          4, "two");
      with.join();
      EXPECT_FALSE(with.joinable());
      const jthread without([](int) {}, 4);
    }
    EXPECT_EQ(seen, "14two");
  });
}

TYPED_TEST(Jthread, RequestStopOnceFromOutside) {
  this->in([] {
    jthread t(
        [](const stop_token& token) { eventually([&token] { return token.stop_requested(); }); });
    EXPECT_TRUE(t.get_stop_token().stop_possible());
    EXPECT_FALSE(t.get_stop_token().stop_requested());
    EXPECT_TRUE(t.request_stop());
    EXPECT_FALSE(t.request_stop());
    EXPECT_TRUE(t.get_stop_source().stop_requested());
    t.join();
  });
}

TYPED_TEST(Jthread, StopCallbackRunsInTheRequester) {
  this->in([] {
    thread::id called_in;
    std::atomic<bool> registered{false};
    jthread t([&](const stop_token& token) {
      const stop_callback callback(token, [&] { called_in = this_thread::get_id(); });
      registered = true;
      eventually([&token] { return token.stop_requested(); });
    });
    eventually([&registered] { return registered.load(); });
    t.request_stop();
    t.join();
    EXPECT_EQ(called_in, this_thread::get_id());
  });
}

TYPED_TEST(Jthread, CallbackOnAStoppedTokenRunsAtOnce) {
  this->in([] {
    stop_source source;
    source.request_stop();
    bool called = false;
    const stop_callback callback(source.get_token(), [&called] { called = true; });
    EXPECT_TRUE(called);
    EXPECT_FALSE(stop_source(nostopstate).stop_possible());
  });
}

TYPED_TEST(Jthread, CallbackThatWakesASleeper) {
  this->in([] {
    binary_semaphore wake(0);
    jthread t([&wake](const stop_token& token) {
      const stop_callback callback(token, [&wake] { wake.release(); });
      wake.acquire();
    });
    t.request_stop();
    t.join();
  });
}

TYPED_TEST(Jthread, MoveAndSwap) {
  this->in([] {
    binary_semaphore end(0);
    jthread a([&end] { end.acquire(); });
    const jthread::id id = a.get_id();
    jthread b(std::move(a));
    EXPECT_FALSE(a.joinable());  // NOLINT: what moving leaves is specified
    jthread c;
    EXPECT_FALSE(c.request_stop());  // no state
    swap(b, c);
    EXPECT_EQ(c.get_id(), id);
    end.release();
    // Assigning over a running one stops and joins it first.
    bool stopped = false;
    c = jthread([&stopped](const stop_token& token) {
      eventually([&token] { return token.stop_requested(); });
      stopped = true;
    });
    c = jthread();
    EXPECT_TRUE(stopped);
    EXPECT_FALSE(c.joinable());
  });
}

TYPED_TEST(Jthread, DetachedRunsOn) {
  std::atomic<bool> done{false};
  this->in([&done] {
    {
      jthread t([&done](const stop_token& token) {
        this_thread::yield();
        done = !token.stop_requested();
      });
      t.detach();
    }
    eventually([&done] { return done.load(); });
  });
}

TYPED_TEST(Jthread, AVectorOfThemIsAPool) {
  this->in([] {
    mutex m;
    condition_variable_any changed;
    int jobs = 0;
    int handled = 0;
    {
      std::vector<jthread> pool;
      for (int i = 0; i < 8; ++i) {
        pool.emplace_back([&](const stop_token& token) {
          std::unique_lock hold(m);
          while (changed.wait(hold, token, [&] { return jobs > 0; })) {
            --jobs;
            ++handled;
            hold.unlock();
            this_thread::yield();
            hold.lock();
          }
        });
      }
      for (int i = 0; i < 300; ++i) {
        const std::lock_guard hold(m);
        ++jobs;
        changed.notify_one();
      }
      eventually([&] {
        const std::lock_guard hold(m);
        return handled == 300;
      });
    }
    EXPECT_EQ(jobs, 0);
  });
}

}  // namespace
}  // namespace treadle
