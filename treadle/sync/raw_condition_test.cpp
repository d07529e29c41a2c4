// Every interleaving, within a bound on preemptions, of waiters and notifiers on one condition:
// waiting, leaving early, retracting, and destroying it after the last notification. The mutex and
// parking are the explorer's.
//
// Checked: every notification reaches somebody who waits, nobody sleeps for ever, and nothing of
// the condition is touched after its end.
#include "treadle/sync/raw_condition.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <string>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_condition_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::require;
using interleave::verdict;
using ground =
    interleave::explored_ground<interleave::watched_atomic, interleave::explored_lock_with_end>;

// Outlives the condition. Of the user's mutex only the exclusion matters here.
class users_mutex {
 public:
  void lock() {
    interleave::wait_until([this] { return !held_; }, "mutex");
    held_ = true;
  }
  void unlock() {
    end_.store(0);
    held_ = false;
  }

 private:
  bool held_ = false;
  interleave::explored_atomic<int> end_;
};

constexpr base::deadline never = base::deadline::never();
constexpr base::deadline soon = base::deadline::at(1);

// Tokens that are put in and taken out, as in a queue.
struct state {
  using condition = basic_condition<ground>;

  state() {
    ground::reset();
    ::new (memory) condition;
  }
  // Not destroyed with the state: a schedule that is given up may leave waiters in it.
  condition& it() { return *std::launder(reinterpret_cast<condition*>(memory)); }

  // With the mutex held.
  bool wait(base::deadline until, bool stoppable = false) {
    condition::node node(ground::self(), stoppable || !until.is_never());
    it().enlist(node);
    held.unlock();
    bool notified = true;
    if (node.limited) {
      const ground::alarm alarm(ground::self(), {});
      notified = it().wait(node, until, stoppable ? &alarm : nullptr);
    } else {
      it().wait_for_ever(node);
    }
    held.lock();
    return notified;
  }
  bool take(base::deadline until, bool stoppable = false) {
    held.lock();
    while (tokens == 0) {
      if (!wait(until, stoppable)) break;
    }
    const bool took = tokens > 0;
    if (took) --tokens;
    held.unlock();
    return took;
  }
  void put(int count) {
    held.lock();
    tokens += count;
    held.unlock();
  }
  void put_one() {
    put(1);
    it().notify_one();
  }
  void put_many(int count) {
    put(count);
    it().notify_all();
  }
  // As when the unlock of a lock that is not a mutex throws.
  void retract() {
    held.lock();
    condition::node node(ground::self(), true);
    it().enlist(node);
    held.unlock();
    it().retract(node);
  }
  void destroy() {
    it().~condition();
    ground::gone = true;
  }

  alignas(condition) std::byte memory[sizeof(condition)];
  users_mutex held;
  int tokens = 0;
  bool ended = false;  // nobody may begin to wait
};

void expect_good(std::vector<std::function<void(state&)>> threads, unsigned preemptions,
                 int tokens = 0) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = false;  // the books of a state are not the explorer's words
  const verdict v = explore<state>(bounds, threads, [tokens](state& s) {
    require(s.tokens == tokens, "another number of tokens is left");
    if (!ground::gone) s.destroy();
  });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

const auto take = [](state& s) { static_cast<void>(s.take(never)); };
const auto put_one = [](state& s) { s.put_one(); };
const auto pass_on = [](state& s) {
  static_cast<void>(s.take(never));
  s.put_one();
};
// Who has left early took no notification along.
const auto pass_on_in_time = [](state& s) {
  if (s.take(soon)) s.put_one();
};
const auto pass_on_unless_stopped = [](state& s) {
  if (s.take(never, true)) s.put_one();
};

TEST(RawCondition, OneNotificationForOneWaiter) {
  expect_good({take, put_one}, interleave::unbounded);
  expect_good({take, take, put_one, put_one}, 3);
  expect_good({take, take, [](state& s) { s.put_many(2); }}, 4);
}

TEST(RawCondition, WhoLeavesTakesNoNotificationAlong) {
  expect_good({pass_on_in_time, pass_on, put_one}, 4, 1);
  expect_good({pass_on_unless_stopped, pass_on, put_one}, 3, 1);
  expect_good({pass_on_in_time, pass_on_unless_stopped, pass_on, put_one}, 2, 1);
  expect_good({[](state& s) { s.retract(); }, take, put_one}, 3);
}

// The standard allows it as soon as all have been notified.
TEST(RawCondition, MayBeDestroyedAfterTheLastNotification) {
  const auto wait_once = [](base::deadline until, bool stoppable) {
    return [until, stoppable](state& s) {
      s.held.lock();
      if (!s.ended) static_cast<void>(s.wait(until, stoppable));
      s.held.unlock();
    };
  };
  const auto end_it = [](state& s) {
    s.held.lock();
    s.ended = true;
    s.held.unlock();
    s.it().notify_all();
    s.destroy();
  };
  expect_good({wait_once(never, false), end_it}, interleave::unbounded);
  expect_good({wait_once(soon, false), end_it}, interleave::unbounded);
  expect_good({wait_once(never, true), end_it}, interleave::unbounded);
  expect_good({wait_once(soon, false), wait_once(never, true), end_it}, 3);
}

// A task's limited wait: somebody else ends it at its limit, at any point of its way, and the task
// leaves him before it goes on (task/suspension.hpp). Only then does it finish.
enum class finishes : std::uint8_t { behind_the_limit, at_once };

struct limited_state : state {
  void wait_as_task(finishes when) {
    held.lock();
    if (ended) return held.unlock();
    auto& mine = *::new (node_memory) condition::node(ground::self(), true);
    auto& granted = ground::granted[ground::index_of(mine)];
    it().enlist(mine);
    held.unlock();
    is_armed.store(1);
    interleave::wait_until([&] { return granted.peek() != 0 || gave_up.peek() != 0; }, "park");
    if (when == finishes::at_once) it().finish(mine);
    limit_lock.lock();
    is_over = true;
    limit_lock.unlock();
    if (when == finishes::behind_the_limit) it().finish(mine);
  }
  void end_the_limit() {
    interleave::wait_until([this] { return is_armed.peek() != 0 || ended; }, "arm");
    limit_lock.lock();
    auto& node = *std::launder(reinterpret_cast<condition::node*>(node_memory));
    if (is_armed.load() != 0 && !is_over && it().take_out(node)) gave_up.store(1);
    limit_lock.unlock();
  }
  void end_it() {
    held.lock();
    ended = true;
    held.unlock();
    it().notify_all();
    destroy();
  }

  alignas(condition::node) std::byte node_memory[sizeof(condition::node)];
  users_mutex limit_lock;
  interleave::explored_atomic<int> is_armed{0};
  interleave::explored_atomic<int> gave_up{0};
  bool is_over = false;
};

verdict destroy_beside_a_limit(finishes when) {
  interleave::options bounds;
  bounds.preemptions_max = 4;
  bounds.sleep_sets = false;  // as above
  return explore<limited_state>(
      bounds,
      {[when](limited_state& s) { s.wait_as_task(when); },
       [](limited_state& s) { s.end_the_limit(); }, [](limited_state& s) { s.end_it(); }},
      [](limited_state&) {});
}

TEST(RawCondition, MayBeDestroyedWhileATasksLimitComes) {
  const verdict v = destroy_beside_a_limit(finishes::behind_the_limit);
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(RawCondition, ATaskThatFinishesBeforeItsLimitIsCaught) {
  const verdict v = destroy_beside_a_limit(finishes::at_once);
  EXPECT_NE(v.fault.find("touched after its end"), std::string::npos) << v.report();
}

}  // namespace
}  // namespace treadle::sync
