// Every interleaving of readers, whose stores stay in a store buffer for as long as they like, with
// a writer that replaces a version, waits for a grace period and frees the old one.
//
// The slot's word has the store buffer that makes the fence necessary: what a kernel thread stored
// is seen by others when it is drained, at any later time, or by the writer's fence; its own loads
// do not wait for that. Checked: no reader in a section finds its version freed, also when it moves
// amid the section, nests, or enters while a grace period is under way; and that the checks find it
// when the fence is left out, or a moved section is not counted.
#include "treadle/thread/read_book.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "tests/support/explored_ground.hpp"

namespace treadle::core {
namespace {

using interleave::explore;
using interleave::options;
using interleave::require;
using interleave::verdict;

// All steps that are not an atomic's own are changes of this one; the plain code after one belongs
// to it.
interleave::explored_atomic<int> steps;
void step() { steps.fetch_add(1); }

// The owner loads relaxed, others acquire.
class buffered_word {
 public:
  std::uint64_t load(std::memory_order order) const {
    if (order == base::relaxed) return waits_ ? stored_ : seen_;
    step();
    return seen_;
  }
  void store(std::uint64_t value, std::memory_order) {
    step();
    drain();
    stored_ = value;
    waits_ = true;
  }
  std::uint64_t exchange(std::uint64_t value, std::memory_order) {
    step();
    drain();
    const std::uint64_t before = seen_;
    seen_ = value;
    return before;
  }
  void drain() {
    if (waits_) seen_ = stored_;
    waits_ = false;
  }

 private:
  std::uint64_t seen_ = 0;
  std::uint64_t stored_ = 0;
  bool waits_ = false;
};

struct ground {
  template <class T>
  using atomic = interleave::explored_atomic<T>;
  using word = buffered_word;
  using lock = interleave::explored_lock;
  static void light_fence() {}
  static void full_fence() {}
};

struct state {
  state() {
    interleave::ground_state::reset();
    steps.store(0);
  }

  basic_read_book<ground> book;
  std::array<buffered_word, 2> slots;
  interleave::explored_atomic<int> version{0};
  std::array<bool, 4> freed{};  // by version

  void drain(unsigned slot) {
    step();
    slots[slot].drain();
  }
  // At the end of a reader: nothing stays in a store buffer for ever.
  void drain_all() {
    step();
    for (buffered_word& each : slots) each.drain();
  }
  int look() {
    const int seen = version.load();
    check(seen);
    return seen;
  }
  void check(int seen) { require(!freed[static_cast<std::size_t>(seen)], "read after its end"); }

  // Enters on one slot, goes on on another, or on the same.
  void read(unsigned from, unsigned to, bool moves) {
    std::uint32_t moved = 0;
    book.enter(slots[from]);
    const int seen = look();
    if (moves) book.move(slots[from], moved);
    step();
    check(seen);
    require(book.leave(slots[to], moved), "no section to leave");
    require(moved == 0, "still counted");
    drain_all();
  }
  void read_nested(bool moves) {
    std::uint32_t moved = 0;
    book.enter(slots[0]);
    const int outer = look();
    if (moves) book.move(slots[0], moved);
    const unsigned here = moves ? 1 : 0;
    book.enter(slots[here]);
    const int inner = look();
    if (moves) book.move(slots[here], moved);
    check(inner);
    require(book.leave(slots[0], moved), "no section to leave");
    check(outer);
    require(book.leave(slots[0], moved), "no section to leave");
    require(!book.leave(slots[0], moved), "one section too many");
    drain_all();
  }

  bool all(const std::function<bool(const buffered_word&)>& left) {
    for (const buffered_word& each : slots) {
      if (!left(each)) return false;
    }
    return true;
  }
  void replace(int times, bool with_fence = true) {
    for (int old = 0; old < times; ++old) {
      version.store(old + 1);
      if (book.begin_period() && with_fence) {
        step();
        for (buffered_word& each : slots) each.drain();
      }
      while (!book.is_over([this](auto left) { return all(left); })) interleave::pause();
      freed[static_cast<std::size_t>(old)] = true;
    }
  }
};

// With the fence that the writer pays.
struct trusting : state {
  trusting() { book.trust_fence(); }
};

// Guess: two are enough for the mistakes that are made here; the complete search of three threads
// takes minutes.
constexpr unsigned preemptions_max = 3;

template <class State>
verdict run(std::vector<std::function<void(State&)>> threads, bool complete = false) {
  options bounds;
  if (!complete) bounds.preemptions_max = preemptions_max;
  return explore<State>(bounds, std::move(threads), [](State&) {});
}

TEST(ReadBook, ASectionIsWaitedForInEveryInterleaving) {
  const verdict v =
      run<trusting>({[](trusting& s) { s.read(0, 0, false); }, [](trusting& s) { s.drain(0); },
                     [](trusting& s) { s.replace(1); }},
                    true);
  EXPECT_TRUE(v.good()) << v.report();
  EXPECT_GT(v.schedules, 100U);
}

TEST(ReadBook, AStragglerIsWaitedForByTheNextGracePeriod) {
  const verdict v =
      run<trusting>({[](trusting& s) { s.read(0, 0, false); }, [](trusting& s) { s.drain(0); },
                     [](trusting& s) { s.replace(2); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(ReadBook, AMovedSectionIsWaitedFor) {
  const verdict v =
      run<trusting>({[](trusting& s) { s.read(0, 1, true); }, [](trusting& s) { s.drain(0); },
                     [](trusting& s) { s.replace(2); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(ReadBook, TwoReadersOfOneSlotOneAfterTheOtherMoved) {
  const verdict v = run<trusting>({[](trusting& s) {
                                     std::uint32_t first = 0;
                                     s.book.enter(s.slots[0]);
                                     const int seen = s.look();
                                     s.book.move(s.slots[0], first);
                                     s.read(0, 0, false);  // another thread, on the same slot
                                     s.check(seen);
                                     require(s.book.leave(s.slots[0], first), "nothing to leave");
                                     s.drain_all();
                                   },
                                   [](trusting& s) { s.replace(2); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(ReadBook, NestedSections) {
  for (const bool moves : {false, true}) {
    const verdict v = run<trusting>(
        {[moves](trusting& s) { s.read_nested(moves); }, [](trusting& s) { s.replace(2); }});
    EXPECT_TRUE(v.good()) << v.report();
  }
}

TEST(ReadBook, WithoutTheWritersFenceReadersHaveTheirOwn) {
  const verdict v =
      run<state>({[](state& s) { s.read(0, 0, true); }, [](state& s) { s.read(1, 1, false); },
                  [](state& s) { s.replace(2, false); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(ReadBook, ReadersMayBeginToTrustTheFenceAtAnyTime) {
  const verdict v =
      run<state>({[](state& s) { s.read(0, 0, false); }, [](state& s) { s.book.trust_fence(); },
                  [](state& s) { s.replace(2); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(ReadBook, AThreadThatEndsLeavesAllItsSections) {
  for (const bool moves : {false, true}) {
    const verdict v = run<trusting>({[moves](trusting& s) {
                                       std::uint32_t moved = 0;
                                       s.book.enter(s.slots[0]);
                                       s.book.enter(s.slots[0]);
                                       s.look();
                                       if (moves) s.book.move(s.slots[0], moved);
                                       s.book.enter(s.slots[0]);
                                       s.book.leave_all(s.slots[0], moved);
                                       require(moved == 0, "still counted");
                                       s.drain_all();
                                     },
                                     [](trusting& s) { s.replace(2); }});
    EXPECT_TRUE(v.good()) << v.report();
  }
}

TEST(ReadBook, TheSearchFindsAMissingFence) {
  const verdict v = run<trusting>(
      {[](trusting& s) { s.read(0, 0, false); }, [](trusting& s) { s.replace(1, false); }});
  EXPECT_EQ(v.fault, "read after its end") << v.report();
}

TEST(ReadBook, TheSearchFindsAMovedSectionThatIsNotCounted) {
  const verdict v = run<trusting>({[](trusting& s) {
                                     s.book.enter(s.slots[0]);
                                     const int seen = s.look();
                                     s.slots[0].store(0, base::release);
                                     step();
                                     s.check(seen);
                                     s.drain_all();
                                   },
                                   [](trusting& s) { s.replace(1); }});
  EXPECT_EQ(v.fault, "read after its end") << v.report();
}

}  // namespace
}  // namespace treadle::core
