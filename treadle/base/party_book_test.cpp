// Every interleaving of parties that come, go and change one word.
//
// The book is the production's. The rest is a model, for it is assembly and the kernel's:
//   - the sequence of biased.hpp looks at the mode, compares and stores, three steps; it is over
//     without its store when the kernel has made it begin again at any time since its first step;
//   - revoke() is one step that does so to all sequences that run at that moment: membarrier(2)
//     comes back when every CPU has seen it. That a party which is not running, or is interrupted
//     for another reason, begins again too is modelled by a choice at the store;
//   - the locked form is one step, and compare_exchange_strong() is put together as there;
//   - each virtual thread is a kernel thread with a mode of its own; the lock of the book, and when
//     a stranger greets or somebody goes away and comes back, are as in solo.cpp.
// Not modelled: store buffers (the store of a mode is a release, and the kernel's barrier a full
// one), signal handlers that touch the word, and a kernel that cannot revoke.
// Checked: no change of the word is lost, and who is alone is so alone.
#include "treadle/base/party_book.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "tests/support/interleave.hpp"

namespace treadle::base {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

struct explored_party {
  explored_atomic<std::uint32_t> mode{party_stranger};
  std::uint32_t candidate = 0;
  explored_party* next = nullptr;
  explored_party* previous = nullptr;
  // The kernel's, of its thread.
  bool is_in_sequence = false;
  bool begins_again = false;
};

std::array<explored_party, 3>* parties = nullptr;  // of the schedule that runs

struct explored_kernel {
  static void set_mode(explored_party& one, std::uint32_t mode) {
    one.mode.store(mode);
    int alone = 0;
    int present = 0;
    for (const explored_party& each : *parties) {
      alone += each.mode.peek() == party_alone ? 1 : 0;
      present += each.mode.peek() == party_alone || each.mode.peek() == party_shared ? 1 : 0;
    }
    require(alone <= 1, "two are alone");
    require(mode != party_alone || present == 1, "alone beside another");
  }
  static void revoke() {
    interleave::detail::point({.object = nullptr, .what = "membarrier"});
    for (explored_party& each : *parties) each.begins_again = each.is_in_sequence;
  }
};
// Broken on purpose.
struct forgetful_kernel : explored_kernel {
  static void revoke() {}
};

// As spin_lock; its end is one step with the last one under it.
class lock {
 public:
  void take() {
    wait_until([this] { return !is_held_; }, "lock");
    is_held_ = true;
  }
  void leave() { is_held_ = false; }

 private:
  bool is_held_ = false;
};

template <class Kernel, bool Interrupts = false>
struct state {
  state() {
    parties = &all;
    book.allow();
  }

  static explored_party& mine() { return (*parties)[interleave::self()]; }

  // ---- solo.cpp ----
  void enter(bool candidate) {
    if (mine().mode.peek() != party_stranger) return;
    held.take();
    mine().candidate = candidate ? 1 : 0;
    book.enter(mine());
    held.leave();
  }
  void leave(party_mode mode) {
    held.take();
    book.leave(mine(), mode);
    held.leave();
  }
  void come_back() {
    held.take();
    book.enter(mine());
    held.leave();
  }

  // ---- biased.hpp ----
  enum class outcome { swapped, differs, not_alone };
  outcome swap_alone(int expected, int desired) {
    explored_party& self = mine();
    self.begins_again = false;
    self.is_in_sequence = true;
    const outcome end = run_sequence(self, expected, desired);
    self.is_in_sequence = false;
    return end;
  }
  outcome run_sequence(explored_party& self, int expected, int desired) {
    const bool is_alone = self.mode.load() == party_alone;
    if (self.begins_again || !is_alone) return outcome::not_alone;
    step("load of the word");
    if (self.begins_again) return outcome::not_alone;
    if (word != expected) return outcome::differs;
    if (Interrupts && interleave::choose(2) == 1) return outcome::not_alone;
    step("store of the word");
    if (self.begins_again) return outcome::not_alone;
    word = desired;
    return outcome::swapped;
  }
  bool compare_exchange(int& expected, int desired) {
    switch (swap_alone(expected, desired)) {
      case outcome::swapped:
        return true;
      case outcome::differs: {
        const int now = load();
        if (now != expected) {
          expected = now;
          return false;
        }
        break;
      }
      case outcome::not_alone:
        break;
    }
    // The thread's own, and a stranger's is changed by nobody else.
    if (mine().mode.peek() == party_stranger) enter(false);
    return locked(expected, desired);
  }
  bool locked(int& expected, int desired) {
    step("locked compare-exchange of the word");
    if (word != expected) {
      expected = word;
      return false;
    }
    word = desired;
    return true;
  }
  int load() {
    step("load of the word");
    return word;
  }

  void add_one() {
    int seen = load();
    while (!compare_exchange(seen, seen + 1)) {
    }
    ++added;
  }
  void step(const char* what) { interleave::detail::point({.object = &word, .what = what}); }

  std::array<explored_party, 3> all;
  basic_party_book<explored_party, Kernel> book;
  lock held;
  int word = 0;
  int added = 0;  // counted when no operation is under way
};

using world = state<explored_kernel>;

template <class State>
verdict explored(std::vector<std::function<void(State&)>> threads, unsigned preemptions) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = preemptions == interleave::unbounded;
  return explore<State>(bounds, threads,
                        [](State& s) { require(s.word == s.added, "a change is lost"); });
}
template <class State = world>
void expect_good(std::vector<std::function<void(State&)>> threads, unsigned preemptions) {
  const verdict v = explored<State>(threads, preemptions);
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

constexpr auto candidate = [](auto& s) {
  s.enter(true);
  s.add_one();
  s.add_one();
  s.leave(party_stranger);
};
constexpr auto stranger = [](auto& s) {
  s.add_one();
  s.leave(party_stranger);
};
constexpr auto goes_away = [](auto& s) {
  s.enter(true);
  s.add_one();
  s.leave(party_away);
  s.come_back();
  s.add_one();
};
constexpr auto sleeps_on = [](auto& s) {
  s.enter(true);
  s.add_one();
  s.leave(party_away);
};

TEST(PartyBook, AStrangerGreetsBeforeItChangesAnything) {
  expect_good({candidate, stranger}, interleave::unbounded);
  expect_good({candidate, stranger, stranger}, 3);
}

TEST(PartyBook, WhoComesBackTakesTheRightAway) {
  expect_good({candidate, goes_away}, 5);
  expect_good({goes_away, goes_away}, 5);
  expect_good({goes_away, sleeps_on, stranger}, 3);
}

TEST(PartyBook, TheRightGoesToTheNextWhenAllOthersHaveGone) {
  expect_good({candidate, candidate}, 5);
  expect_good({sleeps_on, candidate, candidate}, 3);
}

TEST(PartyBook, AnInterruptedSequenceBeginsAgain) {
  using interrupted = state<explored_kernel, true>;
  expect_good<interrupted>({candidate, stranger}, 5);
  expect_good<interrupted>({goes_away, sleeps_on}, 4);
}

TEST(PartyBook, TheOnlyCandidateIsAlone) {
  expect_good({[](world& s) {
                s.enter(true);
                require(s.swap_alone(0, 0) == world::outcome::swapped, "not alone");
                s.leave(party_away);
                s.come_back();
                require(s.swap_alone(0, 0) == world::outcome::swapped, "not alone again");
              }},
              0);
}

// ---- the test can fail ----

template <class State>
void expect_lost(std::vector<std::function<void(State&)>> threads) {
  EXPECT_EQ(explored<State>(threads, interleave::unbounded).fault, "a change is lost");
}

TEST(PartyBook, WithoutTheBarrierAChangeIsLost) {
  using forgetful = state<forgetful_kernel>;
  expect_lost<forgetful>({candidate, stranger});
}

TEST(PartyBook, WhoIsAwayMayChangeNothing) {
  const auto changes_while_away = [](world& s) {
    s.enter(true);
    s.leave(party_away);
    s.add_one();
  };
  expect_lost<world>({candidate, changes_while_away});
}

TEST(PartyBook, WhoNeverGreetsLosesAChange) {
  const auto rude = [](world& s) {
    int seen = s.load();
    while (!s.locked(seen, seen + 1)) {
    }
    ++s.added;
  };
  expect_lost<world>({candidate, rude});
}

}  // namespace
}  // namespace treadle::base
