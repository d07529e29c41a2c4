// Every interleaving, within a bound on preemptions, of selects on two channels against each other,
// against plain senders and receivers, limits and the end of a channel. Parking is the explorer's.
//
// Checked: of the cases of one select exactly one happens, and both sides agree on which; each
// value that was sent arrives once; nobody sleeps who could be served; no node is left in a list.
#include "treadle/sync/raw_select.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/channel_buffer_impl.hpp"
#include "treadle/sync/raw_select_impl.hpp"
#include "treadle/sync/rendezvous_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_ground;
using interleave::require;
using interleave::verdict;

template <template <class> class Word>
struct choosing_ground : explored_ground<Word> {
  static unsigned random_below(unsigned bound) { return interleave::choose(bound); }
};

constexpr channel_element numbers = {
    sizeof(int), alignof(int),
    [](void* to, void* from) noexcept { ::new (to) int(*static_cast<int*>(from)); },
    [](void* value) noexcept { *static_cast<int*>(value) = -1; }};
const base::wait_limit soon(std::chrono::hours(1));  // or earlier: the explorer decides
const base::wait_limit too_soon(std::chrono::steady_clock::time_point{});
constexpr channel_patience at_once{nullptr, true};

// Where a case goes: to receive from a channel, or to send a number to it.
struct way {
  int channel;
  int number;  // 0: receive
};
constexpr way from(int channel) { return {channel, 0}; }
constexpr way to(int channel, int number) { return {channel, number}; }

template <class Ground, std::uint64_t Capacity>
struct state {
  using channel = basic_channel<Ground>;
  static constexpr int numbers_max = 32;

  state() {
    Ground::reset();
    for (auto& each : memory) ::new (each) channel(numbers, Capacity);
  }
  channel& at(int which) { return *std::launder(reinterpret_cast<channel*>(memory[which])); }

  // The index of the case that was done; -1 for none, and for a closed channel.
  template <std::size_t Count>
  int select(const way (&ways)[Count], const base::wait_limit* limit = nullptr) {
    int values[Count];
    select_case<Ground> cases[Count];
    for (std::size_t i = 0; i < Count; ++i) {
      const bool sends = ways[i].number != 0;
      values[i] = ways[i].number;
      cases[i] = {&at(ways[i].channel), &numbers, &values[i],
                  sends ? channel_side::sender : channel_side::receiver};
    }
    alignas(channel_node<Ground>) std::byte nodes[Count * sizeof(channel_node<Ground>)];
    basic_select<Ground> one(cases, Count, nodes);
    const select_outcome end = one.run(limit);
    if (end.index == select_outcome::nothing || end.status != channel_status::done) return -1;
    require(end.index < Count, "no such case");
    if (ways[end.index].number != 0) {
      sent(ways[end.index].number);
    } else {
      arrived(values[end.index]);
    }
    return static_cast<int>(end.index);
  }
  void send(int which, int number) {
    int value = number;
    if (at(which).send(numbers, &value) == channel_status::done) sent(number);
  }
  bool receive(int which, channel_patience patience = {}) {
    int value = 0;
    if (at(which).receive(numbers, &value, patience) != channel_status::done) return false;
    arrived(value);
    return true;
  }
  void sent(int number) { was_sent[number] = true; }
  void arrived(int number) {
    require(number > 0 && number < numbers_max && !has_arrived[number], "arrived twice");
    has_arrived[number] = true;
  }
  void check() {
    for (int which = 0; which < 2; ++which) {
      while (receive(which, at_once)) {
      }
      at(which).~channel();  // ends the program when a node is left
    }
    for (int i = 0; i < numbers_max; ++i) require(was_sent[i] == has_arrived[i], "another value");
  }

  alignas(channel) std::byte memory[2][sizeof(channel)];
  bool was_sent[numbers_max] = {};
  bool has_arrived[numbers_max] = {};
};

template <class Ground>
struct with {
  static inline std::uint64_t schedules = 0;

  template <std::uint64_t Capacity>
  using at = state<Ground, Capacity>;

  template <std::uint64_t Capacity>
  static void expect_good(std::vector<std::function<void(at<Capacity>&)>> threads,
                          unsigned preemptions) {
    interleave::options bounds;
    bounds.preemptions_max = preemptions;
    bounds.sleep_sets = false;  // the books of a state are not the explorer's words
    const verdict v = explore<at<Capacity>>(bounds, threads, [](at<Capacity>& s) { s.check(); });
    EXPECT_TRUE(v.good()) << "capacity " << Capacity << "\n" << v.report();
    schedules += v.schedules;
    testing::Test::RecordProperty("schedules", std::to_string(schedules));
  }
};

template <class Ground>
class RawSelect : public ::testing::Test {};

using grounds = ::testing::Types<choosing_ground<interleave::watched_atomic>,
                                 choosing_ground<interleave::watched_biased>>;
TYPED_TEST_SUITE(RawSelect, grounds, );

template <int Channel, int Number>
constexpr auto send = [](auto& s) { s.send(Channel, Number); };
template <int Channel>
constexpr auto receive = [](auto& s) { s.receive(Channel); };
template <int Channel>
constexpr auto close = [](auto& s) { s.at(Channel).close(); };
constexpr auto receive_either = [](auto& s) { require(s.select({from(0), from(1)}) >= 0, "none"); };
constexpr auto receive_both = [](auto& s) {
  receive_either(s);
  receive_either(s);
};

TYPED_TEST(RawSelect, ReceivesFromEither) {
  using run = with<TypeParam>;
  run::template expect_good<0>({receive_either, send<0, 1>}, interleave::unbounded);
  run::template expect_good<1>({receive_either, send<1, 1>}, interleave::unbounded);
  run::template expect_good<0>({receive_both, send<0, 1>, send<1, 2>}, 2);
  run::template expect_good<1>({receive_both, send<0, 1>, send<1, 2>}, 2);
  run::template expect_good<0>({receive_either, receive_either, send<0, 1>, send<1, 2>}, 1);
  run::template expect_good<1>({receive_either, receive_either, send<0, 1>, send<1, 2>}, 1);
}

TYPED_TEST(RawSelect, SendsToEither) {
  using run = with<TypeParam>;
  const auto send_either = [](auto& s) { require(s.select({to(0, 1), to(1, 2)}) >= 0, "none"); };
  const auto send_again = [](auto& s) { require(s.select({to(0, 3), to(1, 4)}) >= 0, "none"); };
  run::template expect_good<0>({send_either, send_again, receive<0>, receive<1>}, 1);
  run::template expect_good<0>({send_either, send_again, receive_both}, 2);
  // Full ones.
  const auto send_thrice = [](auto& s) {
    for (int i = 1; i <= 6; i += 2) require(s.select({to(0, i), to(1, i + 1)}) >= 0, "none");
  };
  run::template expect_good<1>({send_thrice, receive_either}, 3);
}

TYPED_TEST(RawSelect, Crosswise) {
  using run = with<TypeParam>;
  const auto there = [](auto& s) { require(s.select({to(0, 1), from(1)}) >= 0, "none"); };
  const auto back = [](auto& s) { require(s.select({from(0), to(1, 2)}) >= 0, "none"); };
  run::template expect_good<0>({there, back}, 5);
  const auto again = [](auto& s) { require(s.select({to(1, 3), from(0)}) >= 0, "none"); };
  const auto third = [](auto& s) { require(s.select({from(1), to(0, 4)}) >= 0, "none"); };
  run::template expect_good<0>({there, back, again, third}, 1);
}

TYPED_TEST(RawSelect, OneChannelTwice) {
  using run = with<TypeParam>;
  const auto both_ways = [](auto& s) { require(s.select({to(0, 1), from(0)}) >= 0, "none"); };
  const auto and_back = [](auto& s) { require(s.select({from(0), to(0, 2)}) >= 0, "none"); };
  run::template expect_good<0>({both_ways, and_back}, 5);
  const auto twice = [](auto& s) { require(s.select({from(0), from(0)}) >= 0, "none"); };
  run::template expect_good<0>({twice, send<0, 1>}, interleave::unbounded);
  run::template expect_good<1>({twice, send<0, 1>}, interleave::unbounded);
  run::template expect_good<0>({both_ways, twice}, 4);
}

TYPED_TEST(RawSelect, LimitsLoseNothing) {
  using run = with<TypeParam>;
  const auto send_both = [](auto& s) {
    s.send(0, 1);
    s.send(1, 2);
  };
  const auto at_last = [](auto& s) {
    if (s.select({from(0), from(1)}, &soon) < 0) require(s.select({from(0), from(1)}) >= 0, "none");
  };
  run::template expect_good<0>({at_last, send<0, 1>}, 4);
  run::template expect_good<0>({at_last, at_last, send<0, 1>, send<1, 2>}, 0);
  run::template expect_good<0>({at_last, at_last, send_both}, 2);
  run::template expect_good<1>({at_last, at_last, send_both}, 1);
  const auto send_or_leave = [](auto& s) {
    int value = 3;
    const channel_patience brief{&too_soon, false};
    if (s.at(0).send(numbers, &value, brief) == channel_status::done) s.sent(3);
  };
  const auto leave = [](auto& s) { s.select({from(0), to(1, 1)}, &too_soon); };
  const auto leave_too = [](auto& s) { s.select({from(1), to(0, 2)}, &too_soon); };
  run::template expect_good<0>({leave, leave_too}, 4);
  run::template expect_good<0>({leave, send_or_leave, leave_too}, 2);
}

TYPED_TEST(RawSelect, Closing) {
  using run = with<TypeParam>;
  const auto till_closed = [](auto& s) {
    while (s.select({from(0), from(1)}) >= 0) {
    }
  };
  run::template expect_good<0>({till_closed, close<0>}, 4);
  run::template expect_good<1>({till_closed, close<1>}, 4);
  run::template expect_good<0>({till_closed, till_closed, close<0>}, 2);
  run::template expect_good<1>({till_closed, send<0, 1>, close<1>}, 2);
  const auto send_till_closed = [](auto& s) { s.select({to(0, 1), to(1, 2)}); };
  run::template expect_good<0>({send_till_closed, till_closed, close<0>}, 2);
}

}  // namespace
}  // namespace treadle::sync
