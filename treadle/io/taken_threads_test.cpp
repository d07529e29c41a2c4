// Every interleaving of those who are taken out of a descriptor's list in rounds, and of kernel
// threads in it, which are rung.
//
// One thread is taken at a time here. Who is woken does as a call that begins a watch anew, a
// kernel thread as poll_beside() and poll_group of poll.cpp.
#include "treadle/io/taken_threads.hpp"

#include <gtest/gtest.h>

#include <array>
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

using waits = basic_descriptor_waits<explored_io>;
using waiter = basic_descriptor_waiter<explored_io>;

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

// ---- rounds ----

// A poller leaves a descriptor, as descriptor::leave(), with two who wait, threads 1 and 2; one
// begins anew.
template <bool Once>
struct leave_world {
  leave_world() {
    explored_io::reset();
    one.change_state(waits::watched);
    for (std::size_t i = 0; i < nodes.size(); ++i) enlist(i);
  }
  void enlist(std::size_t index) {
    nodes[index].who = &explored_io::record(index + 1);
    nodes[index].wanted = waits::readable;
    one.push(nodes[index]);
  }
  bool end_watch(std::uint32_t& bits) {
    if (!has_home) return false;
    has_home = false;
    one.change_state((one.state.load(base::relaxed) & ~waits::flags) + waits::one_event);
    bits = waits::all_bits;
    return true;
  }
  void leave() {
    if (Once) return one.make_ready([this](std::uint32_t& bits) { return end_watch(bits); });
    waits::taken_threads taken;
    std::uint32_t bits = 0;
    bool left = false;
    for (bool more = true; more;) {
      {
        const base::guard hold(one.lock);
        left = end_watch(bits) || left;
        more = left && taken.take(one, bits, wait_outcome::ready);
      }
      taken.wake();
    }
  }
  void wait(std::size_t index) {
    require(one.park_until_ended(nodes[index], base::deadline::never()) == wait_result::ready,
            "not ready");
  }
  void wait_and_watch() {
    wait(0);
    nodes[0].outcome.store(wait_outcome::waiting);
    const base::guard hold(one.lock);
    has_home = true;
    one.change_state(one.state.load() | waits::watched);
    enlist(0);
  }
  void check() {
    require(has_home && (one.state.peek() & waits::watched) != 0, "the new watch is forgotten");
    require(nodes[0].outcome.peek() == wait_outcome::waiting, "found again by an old event");
    require(nodes[1].outcome.peek() == wait_outcome::ready, "not found");
  }

  waits one{};
  std::array<waiter, 2> nodes;
  bool has_home = true;  // guarded by the lock
};

template <bool Once>
verdict explore_leave() {
  using leaving = leave_world<Once>;
  return explore<leaving>({.preemptions_max = 4},
                          {[](leaving& s) { s.leave(); }, [](leaving& s) { s.wait_and_watch(); },
                           [](leaving& s) { s.wait(1); }},
                          [](leaving& s) { s.check(); });
}

TEST(TakenThreads, WhoComesBackIsNotTakenByTheSameEvent) { expect_good(explore_leave<true>()); }
// The test can fail.
TEST(TakenThreads, WhatBeganAmidTheRoundsIsForgottenByASecondEnd) {
  EXPECT_EQ(explore_leave<false>().fault, "the new watch is forgotten");
}

// ---- rings ----

// The number of the eventfd, and who has it: a thread, or nobody.
constexpr int eventfd = 0;

struct lent_ground : explored_io {
  static inline bool is_lent = false;
  static void ring(int number) {
    explored_io::ring(number);
    require(is_lent, "rung after it was given back");
  }
};
using lent_waits = basic_descriptor_waits<lent_ground>;
using lent_waiter = basic_descriptor_waiter<lent_ground>;

// A kernel thread's poll of one descriptor, as poll_group's.
enum class poller { right, gives_back_first, does_not_wait_for_tellers };

template <poller Kind>
struct ring_world {
  ring_world() {
    explored_io::reset();
    lent_ground::is_lent = true;
    node.who = &explored_io::record(0);
    node.wanted = lent_waits::readable;
    node.wake_descriptor = eventfd;
    // Some: kernel threads are told of what a ring has received.
    one.ahead = reinterpret_cast<receive_queue*>(this);
  }
  void enlist() {
    const base::guard hold(one.lock);
    const bool is_another = one.lifetime.load() != 0;
    node.outcome.store(is_another ? wait_outcome::closed : wait_outcome::waiting);
    if (!is_another) one.push(node);
  }
  void poll() {
    bool is_listed = false;
    for (;;) {
      if (is_listed && node.outcome.load() == wait_outcome::ready) is_listed = false;
      if (!is_listed) enlist();
      is_listed = true;
      if (there.load() != 0) break;
      if (node.outcome.load() == wait_outcome::closed) break;
      auto& bell = explored_io::bells[eventfd];
      wait_until([&bell] { return bell.peek() != 0; }, "poll(2)");
      bell.store(0);
      if (Kind == poller::does_not_wait_for_tellers) continue;
      const base::guard said(one.lock);
    }
    if (Kind == poller::gives_back_first) lent_ground::is_lent = false;
    static_cast<void>(one.give_up(node));
    explored_io::bells[eventfd].store(0);
    lent_ground::is_lent = false;
  }
  // Of what somebody else has taken, and of what has come.
  void deliver_twice() {
    one.deliver(0, lent_waits::readable);
    there.store(1);
    one.deliver(0, lent_waits::readable);
  }
  void close() {
    const base::guard hold(one.lock);
    one.begin_next_lifetime();
    one.close_waits();
  }
  void check() {
    require(one.first == nullptr, "still listed");
    require(explored_io::bells[eventfd].peek() == 0, "given back rung");
  }

  lent_waits one{};
  lent_waiter node;
  explored_atomic<int> there;
};

template <poller Kind>
verdict explore_rings() {
  using rings = ring_world<Kind>;
  return explore<rings>({.preemptions_max = 4},
                        {[](rings& s) { s.poll(); }, [](rings& s) { s.deliver_twice(); },
                         [](rings& s) { s.close(); }},
                        [](rings& s) { s.check(); });
}

TEST(TakenThreads, AKernelThreadIsRungWhileItHasItsEventfd) {
  expect_good(explore_rings<poller::right>());
}
// The tests can fail.
TEST(TakenThreads, WhoGivesItsEventfdBackBeforeItLeavesIsRung) {
  EXPECT_EQ(explore_rings<poller::gives_back_first>().fault, "rung after it was given back");
}
TEST(TakenThreads, WhoReadsItsEventfdAndDoesNotWaitForTheOutcomeSleepsOn) {
  EXPECT_NE(explore_rings<poller::does_not_wait_for_tellers>().fault, "");
}

}  // namespace
}  // namespace treadle::io
