// A thread's life in every model: its end by unwinding, exit handlers, names, lists of all threads.
#include <treadle/lifecycle.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <treadle/event.hpp>
#include <treadle/mutex.hpp>
#include <treadle/scope.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/thread.hpp>
#include <treadle/thread_specific.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;

template <class Configuration>
class Lifecycle : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(Lifecycle, testing_support::every_model, testing_support::model_names);

struct noted {
  noted(std::string& into, char what) : text(into), mark(what) {}
  ~noted() { text += mark; }
  std::string& text;
  char mark;
};

TYPED_TEST(Lifecycle, ACancelledThreadUnwinds) {
  this->in([] {
    std::string text;
    manual_reset_event begun;
    jthread t([&] {
      this_thread::at_exit([&] { text += 'e'; });
      const noted outer(text, 'o');
      begun.set();
      for (;;) {
        const noted inner(text, 'i');
        this_thread::cancellation_point();
        this_thread::yield();
        text.clear();
      }
    });
    begun.wait();
    t.request_stop();
    t.join();
    EXPECT_EQ(text.substr(text.size() - 3), "ioe");
  });
}

TYPED_TEST(Lifecycle, AWaitIsACancellationPoint) {
  this->in([] {
    binary_semaphore never(0);
    binary_semaphore now(1);
    std::string text;
    std::atomic<bool> waits{false};
    jthread t([&] {
      const noted left(text, 'l');
      const auto acquire = [](binary_semaphore& from) {
        return cancellable([&](const wait_limit& limit) { return from.try_acquire(limit); });
      };
      EXPECT_TRUE(acquire(now));
      waits = true;
      try {
        acquire(never);
        ADD_FAILURE() << "nobody released it";
      } catch (const std::exception&) {
        ADD_FAILURE() << "a stop is no error";
      }
    });
    eventually([&] { return waits.load(); });
    t.request_stop();
    t.join();
    EXPECT_EQ(text, "l");
    // What is there is not taken once the thread is to stop.
    jthread late([&] {
      late.request_stop();
      now.release();
      cancellable([&](const wait_limit& limit) { return now.try_acquire(limit); });
    });
    late.join();
    EXPECT_TRUE(now.try_acquire());
  });
}

TYPED_TEST(Lifecycle, WhoIsShieldedOrHasNoTokenGoesOn) {
  this->in([] {
    thread plain([] { this_thread::cancellation_point(); });
    plain.join();
    int steps = 0;
    jthread t([&] {
      t.request_stop();
      {
        const this_thread::stop_shield shield;
        this_thread::cancellation_point();
        ++steps;
      }
      this_thread::cancellation_point();
      ++steps;
    });
    t.join();
    EXPECT_EQ(steps, 1);
  });
}

TYPED_TEST(Lifecycle, ExitHandlersRunLastFirst) {
  this->in([] {
    std::string text;
    thread_specific<std::string> own;
    struct at_end {
      std::string* text = nullptr;
      ~at_end() {
        if (text != nullptr) *text += 'v';
      }
    };
    thread_specific<at_end> value;
    thread t([&] {
      value->text = &text;
      this_thread::at_exit([&] { text += '1'; });
      this_thread::at_exit([&] {
        text += '2';
        *own = "used here";
        this_thread::at_exit([&] { text += '3'; });
      });
      text += 'f';
    });
    t.join();
    EXPECT_EQ(text, "f231v");
    // The stack that it used has none of it.
    thread next([] {});
    next.join();
    EXPECT_EQ(text, "f231v");
  });
}

TYPED_TEST(Lifecycle, ExitHandlersOfDetachedThreadsAndOfChildren) {
  this->in([] {
    std::atomic<int> ran{0};
    thread([&] { this_thread::at_exit([&] { ++ran; }); }).detach();
    eventually([&] { return ran == 1; });
    scope children;
    for (int i = 0; i < 10; ++i) {
      children.spawn([&] { this_thread::at_exit([&] { ++ran; }); });
    }
    children.join();
    EXPECT_EQ(ran, 11);
  });
}

const thread_status* find(const std::vector<thread_status>& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
  return found != all.end() ? &*found : nullptr;
}

TYPED_TEST(Lifecycle, NamesAndStates) {
  this->in([] {
    binary_semaphore go(0);
    std::atomic<bool> over{false};
    std::atomic<int> ready{0};
    thread waits({.name = "who waits", .priority = priority::high}, [&] {
      ++ready;
      go.acquire();
    });
    thread runs([&] {
      this_thread::set_name("who runs, with a name that is cut off");
      EXPECT_EQ(this_thread::name(), "who runs, with a name that is c");
      ++ready;
      while (!over) this_thread::yield();
    });
    eventually([&] { return ready == 2 && waits.state() == thread_state::parked; });
    const std::vector<thread_status> all = list_threads();
    const thread_status* one = find(all, "who waits");
    ASSERT_NE(one, nullptr);
    EXPECT_EQ(one->state, thread_state::parked);
    EXPECT_EQ(one->why, "semaphore");
    EXPECT_EQ(one->own, priority::high);
    one = find(all, "who runs, with a name that is c");
    ASSERT_NE(one, nullptr);
    EXPECT_TRUE(one->state == thread_state::running || one->state == thread_state::ready);
    over = true;
    go.release();
    waits.join();
    eventually([&] { return runs.state() == thread_state::finished; });
    runs.join();
    EXPECT_EQ(find(list_threads(), "who waits"), nullptr);
  });
}

TYPED_TEST(Lifecycle, AListWhileThreadsComeAndGo) {
  this->in([] {
    std::atomic<bool> over{false};
    thread looks([&] {
      while (!over) {
        EXPECT_FALSE(list_threads().empty());
        this_thread::yield();
      }
    });
    for (int i = 0; i < 300; ++i) {
      thread t({.name = "brief"}, [] { this_thread::set_name("renamed"); });
      t.join();
    }
    over = true;
    looks.join();
  });
}

TYPED_TEST(Lifecycle, ADump) {
  this->in([] {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    thread t({.name = "dumped", .priority = priority::low}, [&] { dump_threads(ends[1]); });
    t.join();
    ::close(ends[1]);
    std::string text;
    char part[4096];
    for (ssize_t got; (got = ::read(ends[0], part, sizeof(part))) > 0;) {
      text.append(part, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    EXPECT_NE(text.find("\"dumped\" running, priority low\n"), std::string::npos) << text;
  });
}

}  // namespace
}  // namespace treadle
