// Every interleaving, within a bound on preemptions, of three threads on one or two inheriting
// mutexes: the word against the book, giving up against grants, loans along a chain.
//
// Checked: exclusion, that nobody sleeps for ever, that a holder runs at the level of who waits,
// that every loan is taken back, and that the mutex is plainly free in the end.
#include "treadle/sync/raw_inheriting_mutex.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_inheriting_mutex_impl.hpp"

namespace treadle::sync {
namespace {

using core::priority;
using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

struct ground : interleave::explored_ground<> {
  // Of the schedule that runs.
  static inline std::array<core::thread_loans, threads_max> notes;
  static inline interleave::explored_lock lock;

  static void reset() {
    explored_ground::reset();
    notes.fill({});
    lock = {};
    for (core::thread& one : records) {
      one.level.store({}, base::relaxed);
      one.in_loans = false;
    }
  }
  static interleave::explored_lock& book() { return lock; }
  static core::thread_loans& notes_of(core::thread& which) {
    return notes[static_cast<std::size_t>(&which - records.data())];
  }
  static int apply(core::thread& which, core::thread_level wanted) {
    which.level.store(wanted, base::relaxed);
    return 0;
  }
  static void begin_hold(core::thread&) {}
  static void end_hold(core::thread&) {}
};

struct state {
  using mutex = basic_inheriting_mutex<ground>;

  state() {
    ground::reset();
    for (auto& one : memory) ::new (one) mutex;
  }
  // Not destroyed with the state: a schedule that is given up may leave them locked.
  mutex& lock(int which) { return *std::launder(reinterpret_cast<mutex*>(memory[which])); }

  static void begin_at(priority own) { ground::self().level.store({own, own}, base::relaxed); }
  void hold(int which) {
    require(++inside[which] == 1, "two threads inside");
    static_cast<void>(probe.load());
    --inside[which];
    ++rounds;
    lock(which).unlock();
  }
  void pass(int which) {
    lock(which).lock();
    hold(which);
  }
  void pass_in_time(int which) {
    if (lock(which).lock_until(base::deadline::at(1))) hold(which);
  }
  void try_to_pass(int which) {
    if (lock(which).try_lock()) hold(which);
  }
  void pass_both() {
    lock(0).lock();
    lock(1).lock();
    hold(1);
    hold(0);
  }
  void check(int rounds_min) {
    require(rounds >= rounds_min, "a round is missing");
    for (std::size_t i = 0; i < ground::records.size(); ++i) {
      const core::thread_level level = ground::records[i].level.load(base::relaxed);
      require(level.own == level.effective, "a loan is left");
      require(ground::notes[i].borrowed == nullptr && ground::notes[i].lends == nullptr &&
                  !ground::records[i].in_loans,
              "a note is left");
    }
    for (int which : {0, 1}) lock(which).~mutex();  // ends the program when anything is left
  }

  alignas(mutex) std::byte memory[2][sizeof(mutex)];
  explored_atomic<int> probe;
  int inside[2] = {};
  int rounds = 0;
};

void expect_good(std::vector<std::function<void(state&)>> threads, int rounds_min,
                 unsigned preemptions = 3) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  const verdict v =
      explore<state>(bounds, threads, [rounds_min](state& s) { s.check(rounds_min); });
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

template <priority Own, class F>
auto at(F f) {
  return [f](state& s) {
    state::begin_at(Own);
    f(s);
  };
}

const auto pass = [](state& s) { s.pass(0); };
const auto pass_twice = [](state& s) {
  s.pass(0);
  s.pass(0);
};
const auto pass_in_time = [](state& s) { s.pass_in_time(0); };

TEST(RawInheritingMutex, TwoThreadsInEveryOrder) {
  expect_good({at<priority::low>(pass_twice), at<priority::high>(pass_twice)}, 4, 5);
}

TEST(RawInheritingMutex, ThreeLevels) {
  expect_good({at<priority::low>(pass_twice), at<priority::high>(pass), at<priority::normal>(pass)},
              4);
}

TEST(RawInheritingMutex, WaitersGiveUp) {
  expect_good(
      {at<priority::low>(pass_twice), at<priority::high>(pass_in_time), at<priority::normal>(pass)},
      3);
  expect_good({at<priority::low>(pass_twice), at<priority::high>(pass_in_time),
               at<priority::urgent>(pass_in_time)},
              2);
}

TEST(RawInheritingMutex, WhoOnlyTriesDisturbsNobody) {
  expect_good({at<priority::low>(pass_twice),
               at<priority::high>([](state& s) { s.try_to_pass(0); }), at<priority::normal>(pass)},
              3);
}

TEST(RawInheritingMutex, AChain) {
  const auto both = [](state& s) { s.pass_both(); };
  const auto second = [](state& s) { s.pass(1); };
  const auto second_in_time = [](state& s) { s.pass_in_time(1); };
  expect_good({at<priority::low>(second), at<priority::normal>(both), at<priority::urgent>(pass)},
              4, 3);
  expect_good({at<priority::low>(second_in_time), at<priority::normal>(both),
               at<priority::urgent>(pass_in_time)},
              2, 3);
}

TEST(RawInheritingMutex, TheHolderSeesWhatItIsLent) {
  expect_good({at<priority::low>([](state& s) {
                 s.lock(0).lock();
                 // Whoever is in the book is in the level.
                 ground::lock.lock();
                 const bool lent = ground::notes_of(ground::self()).borrowed != nullptr;
                 const auto level = ground::self().level.load(base::relaxed).effective;
                 require(level == (lent ? priority::high : priority::low), "another level");
                 ground::lock.unlock();
                 s.lock(0).unlock();
                 require(ground::self().level.load(base::relaxed).effective == priority::low,
                         "not given back");
                 ++s.rounds;
               }),
               at<priority::high>(pass)},
              2, 6);
}

}  // namespace
}  // namespace treadle::sync
