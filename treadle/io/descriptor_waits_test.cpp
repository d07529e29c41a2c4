// Every interleaving of a thread that waits for a descriptor, of its events and of what else ends
// its wait.
//
// A reader does as call_when_ready() and enter() do, a poller as epoll's. Checked in every
// schedule: no byte is left while its reader sleeps; a wait ends in one way; nobody touches a
// waiter that has gone.
#include "treadle/io/descriptor_waits.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/explored_io.hpp"

namespace treadle::io {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::explored_io;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

// Of memory that may go. An operation is one with its effect, so that a look after it is as good.
template <class T>
class fleeting : public explored_atomic<T> {
 public:
  using explored_atomic<T>::explored_atomic;
  T load(std::memory_order) const {
    const T seen = explored_atomic<T>::load();
    require(!is_gone, "touched after it had gone");
    return seen;
  }
  void store(T value, std::memory_order) {
    explored_atomic<T>::store(value);
    require(!is_gone, "touched after it had gone");
  }
  bool is_gone = false;
};
struct fleeting_ground : explored_io {
  template <class T>
  using atomic = fleeting<T>;
};

using waits = basic_descriptor_waits<fleeting_ground>;
using waiter = basic_descriptor_waiter<fleeting_ground>;

// Switches in a schedule. Guesses: a second or two each.
#if defined(TREADLE_TSAN) || defined(TREADLE_ASAN)
constexpr unsigned reads_max = 3;
constexpr unsigned ends_max = 4;
#else
constexpr unsigned reads_max = 4;
constexpr unsigned ends_max = 8;
#endif

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

// ---- events, and a reader that drains ----

// The ways in which the reader could do wrong.
enum class reader { right, enters_blindly, drains_blindly };

template <reader Kind, bool WatchedFirst>
struct pipe_world {
  pipe_world() {
    explored_io::reset();
    if (WatchedFirst) one.change_state(waits::watched);
    is_watched.store(WatchedFirst ? 1 : 0);
  }

  // The other end, and the kernel.
  void write() {
    bytes.fetch_add(1);
    if (is_watched.load() != 0) edge.store(1);
  }
  void begin_watch() {
    one.change_state((one.state.load(base::relaxed) & ~waits::flags) | waits::watched);
    is_watched.store(1);
    if (bytes.load() != 0) edge.store(1);
  }
  void poll() {
    for (;;) {
      wait_until([this] { return edge.peek() != 0 || is_over; }, "epoll_wait");
      if (is_over) return;
      edge.store(0);
      one.deliver(0, waits::readable);
    }
  }

  bool enter(std::uint32_t seen) {
    const base::guard hold(one.lock);
    if (Kind != reader::enters_blindly && one.has_event_since(seen)) return false;
    if ((one.state.load(base::relaxed) & waits::watched) == 0) {
      begin_watch();
      one.push(node);
    } else {
      one.await_event(node);
    }
    return true;
  }
  int read() {
    node.who = &explored_io::self();
    node.wanted = waits::readable;
    for (bool forced = false;; forced = true) {
      const std::uint32_t seen = one.state.load(base::acquire);
      if (forced || waits::is_worth_a_try(seen, waits::readable)) {
        const int taken = bytes.exchange(0);
        if (taken != 0) {
          drain(seen);
          return taken;
        }
      }
      if (!enter(seen)) continue;
      require(one.park_until_ended(node, base::deadline::never()) == wait_result::ready,
              "not an event");
      node.outcome.store(wait_outcome::waiting, base::relaxed);  // another node
    }
  }
  void drain(std::uint32_t seen) {
    if (Kind != reader::drains_blindly) return one.note_drained(seen);
    one.state.store(one.state.load(base::relaxed) & ~waits::readable, base::relaxed);
  }
  void read_all(int count) {
    while (count != 0) count -= read();
    is_over = true;
  }

  waits one{};
  waiter node;
  explored_atomic<int> bytes;
  explored_atomic<int> is_watched;
  explored_atomic<int> edge;
  bool is_over = false;
};

template <reader Kind, bool WatchedFirst>
verdict explore_reads(int count) {
  using pipe = pipe_world<Kind, WatchedFirst>;
  return explore<pipe>({.preemptions_max = reads_max},
                       {[count](pipe& s) { s.read_all(count); }, [](pipe& s) { s.poll(); },
                        [count](pipe& s) {
                          for (int i = 0; i < count; ++i) s.write();
                        }},
                       [](pipe&) {});
}

TEST(DescriptorWaits, NoEventIsMissedByWhoeverReadsOnAndOn) {
  expect_good(explore_reads<reader::right, true>(2));
}
TEST(DescriptorWaits, NoEventIsMissedByWhoeverWatchesFirst) {
  expect_good(explore_reads<reader::right, false>(2));
}
// The tests can fail.
TEST(DescriptorWaits, WhoDoesNotLookForEventsSleepsOn) {
  EXPECT_NE((explore_reads<reader::enters_blindly, true>(1).fault), "");
}
TEST(DescriptorWaits, WhoSaysDrainedAfterAnEventSleepsOn) {
  EXPECT_NE((explore_reads<reader::drains_blindly, true>(2).fault), "");
}

// ---- the ends of one wait ----

template <bool WaitsForStop>
struct end_world {
  end_world() {
    explored_io::reset();
    one.change_state(waits::watched);
    node.who = &explored_io::record(0);
    node.wanted = waits::readable;
    one.push(node);
  }
  // As park_stoppable(): a stop callback has ended, or will not begin, when its object has gone.
  void wait() {
    const wait_result end = one.park_until_ended(node, base::deadline::at(1));
    int registered = 0;
    if (!stop_state.compare_exchange_strong(registered, 2) && WaitsForStop) {
      wait_until([this] { return stop_state.peek() == 2; }, "~stop_callback");
    }
    node.outcome.is_gone = true;
    node.who = &explored_io::record(explored_io::threads_max - 1);  // nobody
    const bool given_up = node.outcome.peek() == wait_outcome::given_up;
    require(given_up == (end == wait_result::timed_out), "ended in two ways");
  }
  void stop() {
    int registered = 0;
    if (!stop_state.compare_exchange_strong(registered, 1)) return;
    one.stop(node);
    stop_state.store(2);
  }
  void close() {
    const base::guard hold(one.lock);
    one.begin_next_lifetime();
    one.close_waits();
  }
  void check() {
    require(one.first == nullptr && one.last == nullptr, "somebody is listed");
    require(explored_io::tokens.back().peek() == 0, "who has gone was read");
  }

  waits one{};
  waiter node;
  explored_atomic<int> stop_state;  // 0: registered; 1: is called; 2: over
};

template <bool WaitsForStop>
verdict explore_ends(bool closes) {
  using ends = end_world<WaitsForStop>;
  return explore<ends>(
      {.preemptions_max = ends_max},
      {[](ends& s) { s.wait(); }, [](ends& s) { s.stop(); },
       [closes](ends& s) { closes ? s.close() : s.one.deliver(0, waits::readable); }},
      [](ends& s) { s.check(); });
}

TEST(DescriptorWaits, EndByOneOfEventStopAndLimit) { expect_good(explore_ends<true>(false)); }
TEST(DescriptorWaits, EndByOneOfCloseStopAndLimit) { expect_good(explore_ends<true>(true)); }
// The test can fail.
TEST(DescriptorWaits, WhoDoesNotWaitForItsStopIsTouchedByIt) {
  EXPECT_EQ(explore_ends<false>(false).fault, "touched after it had gone");
}

}  // namespace
}  // namespace treadle::io
