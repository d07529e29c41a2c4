// Every interleaving of a thread's end with who joins it, detaches it, or waits and gives up.
//
// The ends are those of fiber_end_impl.hpp, which hands over to a joiner that it can own, and of
// one_to_one.cpp and engine_carry.cpp, which only unpark; the waits are those of join.hpp and
// fiber_join_impl.hpp. A joiner parks by a token as the schedulers do. Checked in every
// schedule: the record is freed once and not touched after that, no joiner sleeps for ever or goes
// on before the end, and who has joined or given up is not harmed by an unpark that comes late.
#include "treadle/thread/completion.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "tests/support/interleave.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

// A word of the record that ends.
bool is_freed = false;
template <class T>
class watched : public explored_atomic<T> {
 public:
  using explored_atomic<T>::explored_atomic;
  T load(std::memory_order = base::seq_cst) const noexcept {
    return touched(explored_atomic<T>::load());
  }
  void store(T value, std::memory_order = base::seq_cst) noexcept {
    explored_atomic<T>::store(value);
    touched(value);
  }
  T exchange(T value, std::memory_order = base::seq_cst) noexcept {
    return touched(explored_atomic<T>::exchange(value));
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order,
                               std::memory_order) noexcept {
    return touched(explored_atomic<T>::compare_exchange_strong(expected, desired));
  }

 private:
  template <class V>
  static V touched(V value) noexcept {
    require(!is_freed, "touched after it was freed");
    return value;
  }
};

using word = basic_completion<watched>;

struct world {
  static constexpr std::size_t joiners = 2;
  struct seat {
    basic_token<explored_atomic> permit;
    // Plain: changed by the owner before it stops, and by who owns the stopped owner.
    int parked = 0;
    int readied = 0;
  };

  world() { is_freed = false; }

  seat& at(thread& record) { return all[static_cast<std::size_t>(&record - records.data())]; }
  void park(thread& self) {
    seat& mine = at(self);
    if (mine.permit.consume() || !mine.permit.publish_parked()) return;
    stop(mine, ++mine.parked);
  }
  static void stop(seat& mine, int turn) {
    wait_until([&mine, turn] { return mine.readied == turn; }, "parked");
  }
  void make_ready(thread& claimed) {
    seat& its = at(claimed);
    ++its.readied;
    require(its.readied == its.parked, "a thread that is not parked was made ready");
  }
  void unpark(thread& which) {
    if (at(which).permit.unpark()) make_ready(which);
  }

  // As a reaper, who may give the record to another thread at once.
  void free() {
    require(!is_freed, "freed twice");
    is_over.store(1);
    completion.begin();
    is_freed = true;
  }
  void reap() {
    require(completion.has_ended(), "joined before the end");
    free();
  }

  // The ends.
  void end_anyhow() {
    const auto wakes = [this](thread& which) { unpark(which); };
    completion.end([this] { free(); }, [this](thread& lender) { make_ready(lender); }, wakes);
  }
  void end_for(thread& joiner) {
    completion.end_for_owned();
    make_ready(joiner);
  }
  void end() {
    const word::seen waiting = completion.waiting();
    if (word::has_lender(waiting)) return end_for(word::lender_in(waiting));
    thread* const joiner = word::claimable_in(waiting);
    if (joiner != nullptr && at(*joiner).permit.claim_parked()) return end_for(*joiner);
    end_anyhow();
  }

  // The joins.
  void join(thread& self) {
    if (!completion.has_ended() && completion.become_joiner(self)) {
      while (!completion.has_ended()) park(self);
    }
    reap();
  }
  void join_lending(thread& self) {
    if (!completion.has_ended()) {
      const int turn = ++at(self).parked;
      if (completion.lend(self)) {
        stop(at(self), turn);
      } else {
        --at(self).parked;
      }
    }
    reap();
  }
  void detach() {
    if (!completion.detach()) reap();
  }
  // Until stop() says so: as park_until() of stop_alarm.hpp.
  bool wait_unless_stopped(thread& self) {
    if (completion.has_ended()) return true;
    return completion.wait_within(self, [&] {
      for (;;) {
        if (completion.has_ended()) return true;
        if (rung.load() != 0) return false;
        park(self);
      }
    });
  }
  void stop(thread& which) {
    rung.store(1);
    unpark(which);
  }
  // Something else to wait for, on the other side of the join.
  void wait_for_news(thread& self) {
    while (news.load() == 0) park(self);
  }
  void tell(thread& which) {
    news.store(1);
    unpark(which);
  }

  word completion;
  std::array<thread, joiners> records;
  std::array<seat, joiners> all;
  explored_atomic<int> rung;
  explored_atomic<int> news;
  explored_atomic<int> handed_on;
  explored_atomic<int> is_over;
};

using program = std::vector<std::function<void(world&)>>;

verdict explored(const program& threads) {
  return explore<world>({}, threads, [](world& s) {
    require(s.is_over.peek() != 0, "nobody has freed it");
    for (const auto& one : s.all) require(one.parked == one.readied, "ready too often");
  });
}
void expect_good(const program& threads) {
  const verdict v = explored(threads);
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

constexpr auto end = [](world& s) { s.end(); };
constexpr auto end_of_kernel_thread = [](world& s) { s.end_anyhow(); };
constexpr auto join = [](world& s) { s.join(s.records[0]); };
constexpr auto join_lending = [](world& s) { s.join_lending(s.records[0]); };
constexpr auto detach = [](world& s) { s.detach(); };
constexpr auto stray = [](world& s) { s.unpark(s.records[0]); };
constexpr auto stop = [](world& s) { s.stop(s.records[0]); };
constexpr auto tell = [](world& s) { s.tell(s.records[0]); };

TEST(Completion, OfJoinAndEndEachFindsTheOther) {
  for (const auto& ending : program{end, end_of_kernel_thread}) {
    expect_good({ending, join});
    expect_good({ending, join_lending});
    expect_good({ending, detach});
  }
}

TEST(Completion, AStrayUnparkDoesNotEndAJoin) {
  for (const auto& ending : program{end, end_of_kernel_thread}) {
    expect_good({ending, join, stray});
    expect_good({ending, join_lending, stray});
  }
}

TEST(Completion, WhoHasJoinedWaitsForOtherThingsUndisturbed) {
  const auto join_and_wait = [](world& s) {
    s.join(s.records[0]);
    s.wait_for_news(s.records[0]);
  };
  for (const auto& ending : program{end, end_of_kernel_thread}) {
    expect_good({ending, join_and_wait, tell});
  }
}

TEST(Completion, WhoGivesUpMayTryAgain) {
  const auto in_time_or_join = [](world& s) {
    s.wait_unless_stopped(s.records[0]) ? s.reap() : s.join(s.records[0]);
  };
  const auto in_time_or_lend = [](world& s) {
    s.wait_unless_stopped(s.records[0]) ? s.reap() : s.join_lending(s.records[0]);
  };
  const auto in_time_or_detach = [](world& s) {
    s.wait_unless_stopped(s.records[0]) ? s.reap() : s.detach();
  };
  for (const auto& ending : program{end, end_of_kernel_thread}) {
    expect_good({ending, in_time_or_join, stop});
    expect_good({ending, in_time_or_lend, stop});
    expect_good({ending, in_time_or_detach, stop});
  }
}

// Hands the thread on to another one, which joins it, and waits for something else.
constexpr auto in_time_or_hand_on = [](world& s) {
  if (s.wait_unless_stopped(s.records[0])) return s.reap();
  s.handed_on.store(1);
  s.wait_for_news(s.records[0]);
};
constexpr auto take_over = [](world& s) {
  wait_until([&s] { return s.handed_on.peek() != 0 || s.is_over.peek() != 0; }, "handed on");
  if (s.handed_on.load() != 0) s.join(s.records[1]);
  s.tell(s.records[0]);
};

TEST(Completion, WhoGaveUpIsNotTheOneThatIsWoken) {
#if defined(TREADLE_TSAN)
  GTEST_SKIP() << "one kernel thread explores: the sanitizer sees nothing";
#endif
  for (const auto& ending : program{end, end_of_kernel_thread}) {
    expect_good({ending, in_time_or_hand_on, take_over, stop});
  }
}

// ---- the test can fail ----

TEST(Completion, WhoMayLeaveMustNotBeClaimed) {
  const auto claim_who_may_leave = [](world& s) {
    const word::seen joiner = s.completion.waiting() & ~word::seen{4};
    thread* const found = word::claimable_in(joiner);
    if (found != nullptr && s.at(*found).permit.claim_parked()) return s.end_for(*found);
    s.end_anyhow();
  };
  EXPECT_FALSE(explored({claim_who_may_leave, in_time_or_hand_on, take_over, stop}).good());
}

TEST(Completion, TheEndMayNotLookAgain) {
  EXPECT_FALSE(explored({[](world& s) {
                           s.end_anyhow();
                           static_cast<void>(s.completion.waiting());
                         },
                         join})
                   .good());
}

TEST(Completion, AnUnparkDoesNotWakeALender) {
  EXPECT_FALSE(explored({[](world& s) {
                           const auto wakes = [&s](thread& which) { s.unpark(which); };
                           s.completion.end([&s] { s.free(); }, wakes, wakes);
                         },
                         join_lending})
                   .good());
}

}  // namespace
}  // namespace treadle::core
