// Threads and stop tokens in every model: joins that give up, interruptible sleeps, and the token
// that a thread has of its own.
#include <gtest/gtest.h>

#include <chrono>
#include <system_error>
#include <treadle/scope.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/task_group.hpp>
#include <treadle/thread.hpp>
#include <treadle/thread_specific.hpp>
#include <utility>

#include "tests/support/limited_waits.hpp"
#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;
using testing_support::yield_times;

template <class Model>
class LimitedJoin : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(LimitedJoin, every_model, model_names);

TYPED_TEST(LimitedJoin, AfterTimeOuts) {
  this->in([] {
    binary_semaphore end(0);
    thread t([&end] { end.acquire(); });
    EXPECT_FALSE(t.try_join(0s));
    EXPECT_FALSE(t.try_join(100us));
    EXPECT_TRUE(t.joinable());
    thread moved = std::move(t);
    thread joiner([&] { moved.join(); });  // another joiner than the one that gave up
    EXPECT_THROW(static_cast<void>(t.try_join({})), std::system_error);
    end.release();
    joiner.join();
    thread detached([] {});
    if (!detached.try_join(0s)) detached.detach();
    jthread last([](const stop_token& stop) { this_thread::sleep_for(1h, stop); });
    EXPECT_FALSE(last.try_join(1us));
    last.request_stop();
    EXPECT_TRUE(last.try_join(std::chrono::hours::max()));
    EXPECT_FALSE(last.joinable());
  });
}

TYPED_TEST(LimitedJoin, OfOneselfIsRefused) {
  this->in([] {
    thread self;
    binary_semaphore ready(0);
    self = thread([&] {
      ready.acquire();
      try {
        static_cast<void>(self.try_join(1s));
        ADD_FAILURE() << "no exception";
      } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::errc::resource_deadlock_would_occur);
      }
    });
    ready.release();
    self.join();
  });
}

// The end of a thread against a joiner that gives up, and then joins or detaches for good.
TYPED_TEST(LimitedJoin, GivesUpWhileTheThreadEnds) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(3000, TestFixture::own_kernel_threads); ++i) {
      int value = 0;
      stop_source source;
      thread t([&, i] {
        yield_times(i % 3);
        value = 1;
        source.request_stop();
      });
      const bool joined = t.try_join({std::chrono::microseconds(i % 5), source.get_token()});
      if (!joined) t.join();
      ASSERT_EQ(value, 1);
    }
  });
}

template <class Model>
class InterruptibleSleep : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(InterruptibleSleep, every_model, model_names);

TYPED_TEST(InterruptibleSleep, EndsAtAStop) {
  this->in([] {
    for (int i = 0; i < 50; ++i) {
      stop_source source;
      thread t([&] {
        EXPECT_FALSE(this_thread::sleep_for(1h, source.get_token()));
        EXPECT_FALSE(
            this_thread::sleep_until(std::chrono::system_clock::now() + 1h, source.get_token()));
        EXPECT_FALSE(this_thread::sleep_for(std::chrono::hours::max(), source.get_token()));
        EXPECT_FALSE(this_thread::sleep_for(0s, source.get_token()));
        EXPECT_FALSE(this_thread::sleep_until(steady_clock::time_point::min(), source.get_token()));
      });
      yield_times(static_cast<std::size_t>(i));
      source.request_stop();
      t.join();
    }
  });
}

TYPED_TEST(InterruptibleSleep, IsNeverTooShort) {
  this->in([] {
    const stop_source source;
    for (const auto span : {1us, 100us, 2000us}) {
      const auto before = steady_clock::now();
      EXPECT_TRUE(this_thread::sleep_for(span, source.get_token()));
      EXPECT_GE(steady_clock::now() - before, span);
      const auto until = std::chrono::system_clock::now() + span;
      EXPECT_TRUE(this_thread::sleep_until(until, stop_token()));
      EXPECT_GE(std::chrono::system_clock::now(), until);
    }
    EXPECT_TRUE(this_thread::sleep_for(-1h, stop_token()));
  });
}

template <class Model>
class OwnStopToken : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(OwnStopToken, every_model, model_names);

TYPED_TEST(OwnStopToken, IsAJthreadsAndNobodyElses) {
  EXPECT_FALSE(this_thread::stop_token().stop_possible());
  this->in([] {
    EXPECT_FALSE(this_thread::stop_token().stop_possible());
    for (int i = 0; i < 3; ++i) {
      stop_token with;
      stop_token without;
      jthread a([&with](const stop_token& given) {
        with = this_thread::stop_token();
        EXPECT_EQ(given, with);
      });
      jthread b([&without](int) { without = this_thread::stop_token(); }, 1);
      a.join();
      b.join();
      EXPECT_EQ(with, a.get_stop_token());
      EXPECT_EQ(without, b.get_stop_token());
      // On the stack that a jthread has used.
      thread plain([] { EXPECT_FALSE(this_thread::stop_token().stop_possible()); });
      plain.join();
    }
  });
}

TYPED_TEST(OwnStopToken, IsInheritedByTheChildrenOfAScope) {
  this->in([] {
    jthread t([](const stop_token& given) {
      scope all;
      for (int i = 0; i < 3; ++i) {
        all.spawn([&] {
          EXPECT_EQ(this_thread::stop_token(), given);
          scope inner;
          inner.spawn([&] { EXPECT_EQ(this_thread::stop_token(), given); });
          this_thread::yield();
          EXPECT_EQ(this_thread::stop_token(), given);
        });
      }
      all.join();
      EXPECT_EQ(this_thread::stop_token(), given);
    });
    t.join();
    scope none;
    none.spawn([] { EXPECT_FALSE(this_thread::stop_token().stop_possible()); });
  });
}

// What the parent does to its own token while they run is not theirs.
TYPED_TEST(OwnStopToken, OfAScopesChildrenIsTheOneThatTheScopeWasMadeWith) {
  this->in([] {
    jthread t([](const stop_token& given) {
      scope all;
      binary_semaphore look(0);
      binary_semaphore looked(0);
      stop_token seen;
      const auto child = [&] {
        for (int i = 0; i < 3; ++i) {
          look.acquire();
          seen = this_thread::stop_token();
          looked.release();
        }
      };
      const auto expect_given = [&] {
        look.release();
        looked.acquire();
        EXPECT_EQ(seen, given);
      };
      all.spawn(child);
      {
        const this_thread::stop_shield mine;
        expect_given();
      }
      with_deadline(0s, [&] {
        EXPECT_TRUE(this_thread::stop_token().stop_requested());
        expect_given();
      });
      expect_given();
      with_deadline(0s, [&] {
        all.spawn([&] { seen = this_thread::stop_token(); });
        all.join();
        EXPECT_EQ(seen, given);
      });
    });
    t.join();
  });
}

TYPED_TEST(OwnStopToken, EndsInterruptibleSleeps) {
  this->in([] {
    jthread alone([] { EXPECT_FALSE(this_thread::sleep_for(1h, stop_token())); });
    alone.request_stop();
    stop_source other;
    jthread both([&other] { EXPECT_FALSE(this_thread::sleep_for(1h, other.get_token())); });
    jthread same([] { EXPECT_FALSE(this_thread::sleep_for(1h, this_thread::stop_token())); });
    yield_times(3);
    both.request_stop();
    same.request_stop();
    // Without a token a sleep is not a cancellation point.
    jthread plain([] {
      const auto before = steady_clock::now();
      this_thread::sleep_for(2ms);
      EXPECT_GE(steady_clock::now() - before, 2ms);
    });
    plain.request_stop();
  });
}

TYPED_TEST(OwnStopToken, IsGoneWhenTheFunctionHasReturned) {
  this->in([] {
    struct last_words {
      ~last_words() { EXPECT_FALSE(this_thread::stop_token().stop_possible()); }
    };
    thread_specific<last_words> words;
    jthread t([&words] { words.get(); });
    t.join();
  });
}

TYPED_TEST(OwnStopToken, AShieldTakesItAway) {
  this->in([] {
    jthread t([](const stop_token& given) {
      eventually([&given] { return given.stop_requested(); });
      EXPECT_FALSE(this_thread::sleep_for(1h, stop_token()));
      {
        const this_thread::stop_shield outer;
        EXPECT_FALSE(this_thread::stop_token().stop_possible());
        {
          const this_thread::stop_shield inner;
          EXPECT_TRUE(this_thread::sleep_for(1us, stop_token()));
        }
        EXPECT_TRUE(this_thread::sleep_for(1us, stop_token()));
        EXPECT_FALSE(this_thread::sleep_for(1h, given));
      }
      EXPECT_EQ(this_thread::stop_token(), given);
      scope children;
      children.spawn([&given] {
        EXPECT_EQ(this_thread::stop_token(), given);
        {
          const this_thread::stop_shield mine;
          EXPECT_FALSE(this_thread::stop_token().stop_possible());
        }
        EXPECT_EQ(this_thread::stop_token(), given);
      });
      children.join();
    });
    t.request_stop();
    t.join();
    const this_thread::stop_shield nothing_to_take_away;
    EXPECT_FALSE(this_thread::stop_token().stop_possible());
  });
}

}  // namespace
}  // namespace treadle
