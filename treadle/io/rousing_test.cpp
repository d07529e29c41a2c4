// Every interleaving of those who bring something and the kernel thread that waits in a poller.
//
// A poller's wait ends by its eventfd, which nobody reads: each ring is an event. A lone worker
// does as many_to_one::find_work() does; the sockets' ring as uring_poller's serve(), work(),
// take_orders() and take_back(). Checked in every schedule: all that is brought is taken, though
// nobody ever wakes by himself.
#include "treadle/io/rousing.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "tests/support/explored_io.hpp"
#include "treadle/io/uring_inbox.hpp"
#include "treadle/sched/lone_sleep.hpp"

namespace treadle::io {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::explored_io;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

// Switches in a schedule. Guesses: a second each.
#if defined(TREADLE_TSAN) || defined(TREADLE_ASAN)
constexpr unsigned lone_max = 3;
constexpr unsigned asked_max = 2;
#else
constexpr unsigned lone_max = 4;
constexpr unsigned asked_max = 3;
#endif

using right_rousing = basic_rousing<explored_io>;

// Looks whether anybody waits, and says then that it has roused.
class hasty_rousing {
 public:
  bool rouse() {
    const bool waits = waits_.load();
    roused_.store(true);
    return waits;
  }
  bool begin_wait() {
    waits_.store(true);
    return !roused_.load();
  }
  void end_wait() {
    waits_.store(false);
    roused_.store(false);
  }

 private:
  explored_atomic<bool> waits_{false};
  explored_atomic<bool> roused_{false};
};

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

template <class Rousing>
struct poller {
  poller() { explored_io::reset(); }
  void interrupt() {
    if (words.rouse()) explored_io::ring(0);
  }
  // Or until nobody is left.
  template <class IsOver>
  void poll(IsOver is_over) {
    auto& bell = explored_io::bells[0];
    if (words.begin_wait()) {
      wait_until([&] { return bell.peek() != 0 || is_over(); }, "epoll_wait");
    }
    if (bell.peek() != 0) bell.store(0);
    words.end_wait();
  }
  Rousing words;
};

// ---- a lone worker ----

template <class Rousing>
struct lone_world {
  // A waker; in turns of the worker it may sleep here or there.
  void bring() {
    queued.fetch_add(1);
    const sleep::bed where = bed.wake();
    if (where == sleep::in_poller) events.interrupt();
    if (where == sleep::on_futex) bed.word().notify_all();
  }
  void work(int count) {
    for (bool polls = true; count != 0; polls = !polls) {
      count -= queued.exchange(0);
      if (count == 0) break;
      bed.lie_down(polls ? sleep::in_poller : sleep::on_futex);
      if (queued.load() == 0) {
        polls ? events.poll([] { return false; }) : bed.word().wait(sleep::on_futex);
      }
      bed.get_up();
    }
  }

  using sleep = core::basic_lone_sleep<explored_atomic>;
  sleep bed;
  poller<Rousing> events;
  explored_atomic<int> queued;
};

template <class Rousing>
verdict explore_lone() {
  using lone = lone_world<Rousing>;
  return explore<lone>({.preemptions_max = lone_max},
                       {[](lone& s) { s.work(3); },
                        [](lone& s) {
                          s.bring();
                          s.bring();
                        },
                        [](lone& s) { s.bring(); }},
                       [](lone&) {});
}

TEST(Rousing, ALoneWorkerMissesNothing) { expect_good(explore_lone<right_rousing>()); }
// The test can fail.
TEST(Rousing, ALoneWorkerMissesWhoLooksTooEarly) {
  EXPECT_NE(explore_lone<hasty_rousing>().fault, "");
}

// ---- what the sockets' ring is asked for ----

struct release {
  release* next = nullptr;
  bool is_gone = false;
  explored_atomic<int> told;
};

template <class Rousing>
struct inbox_world {
  using inbox_type = basic_uring_inbox<release, 1, explored_io>;
  static constexpr int orders = 2;

  // As take_back(): with no room everything is asked back. `number` from 0 on.
  void order(int number) {
    const bool has_room = inbox.put({number, 0, watch_kind::events, false});
    if (!has_room) inbox.ask_for_all_back();
    events.interrupt();
    auto& done = has_room ? taken[static_cast<std::size_t>(number)] : all_back;
    wait_until([&done] { return done.peek() != 0; }, "the order is done");
    left.fetch_sub(1);
  }
  void close() {
    inbox.put(mine);
    events.interrupt();
    wait_until([this] { return mine.told.peek() != 0; }, "told");
    mine.is_gone = true;
    left.fetch_sub(1);
  }

  void serve() {
    while (left.peek() != 0) {
      work();
      events.poll([this] { return left.peek() == 0; });
    }
  }
  void work() {
    while (inbox.has_any()) {
      inbox_type::order into[inbox_type::orders_max];
      release* releases = nullptr;
      bool all = false;
      const unsigned count = inbox.take(into, releases, all);
      for (unsigned i = 0; i < count; ++i) taken[static_cast<std::size_t>(into[i].number)].store(1);
      if (all) all_back.store(1);
      while (releases != nullptr) {
        release& one = *releases;
        require(!one.is_gone, "touched after it had gone");
        releases = one.next;
        one.told.store(1);
      }
    }
  }
  inbox_type inbox;
  poller<Rousing> events;
  release mine;
  std::array<explored_atomic<int>, orders> taken;
  explored_atomic<int> all_back;
  explored_atomic<int> left{2};
};

template <class Rousing>
verdict explore_inbox(bool closes) {
  using ring = inbox_world<Rousing>;
  return explore<ring>({.preemptions_max = asked_max},
                       {[](ring& s) { s.serve(); }, [](ring& s) { s.order(0); },
                        [closes](ring& s) { closes ? s.close() : s.order(1); }},
                       [](ring& s) { require(!s.inbox.has_any(), "something is left"); });
}

TEST(Rousing, TheRingTakesOrdersForWhichThereIsNoRoom) {
  expect_good(explore_inbox<right_rousing>(false));
}
TEST(Rousing, TheRingTakesAnOrderAndTellsWhoCloses) {
  expect_good(explore_inbox<right_rousing>(true));
}
// The test can fail.
TEST(Rousing, TheRingMissesWhoLooksTooEarly) {
  EXPECT_NE(explore_inbox<hasty_rousing>(false).fault, "");
}

}  // namespace
}  // namespace treadle::io
