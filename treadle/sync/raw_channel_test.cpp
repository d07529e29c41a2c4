// Every interleaving, within a bound on preemptions, of up to four threads on one channel: without
// a buffer, with room for one or two, and without a bound. Parking is the explorer's. Each program
// runs twice: with the short form of a lone kernel thread, and with the long form only.
//
// Checked: each value that was sent arrives once, and those of one sender in their order; none is
// sent by an operation that says that it did not; nobody sleeps who could be served; two threads
// never touch one cell at a time; a channel may be destroyed by whoever got the last value, or
// learned of its end.
#include "treadle/sync/raw_channel.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/channel_buffer_impl.hpp"
#include "treadle/sync/rendezvous_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::explored_ground;
using interleave::require;
using interleave::verdict;

constexpr std::uint64_t no_bound = ~std::uint64_t{0};

// As large as makes a chunk of 8.
struct parcel {
  explicit parcel(int n) : number(n) {}
  int number;
  int ended = 0;
  char ballast[592] = {};
};

// A choice point in the middle of every move.
explored_atomic<int> half_way;

void move_parcel(void* to, void* from) noexcept {
  const int number = static_cast<parcel*>(from)->number;
  require(static_cast<parcel*>(from)->ended == 0, "moved out of nothing");
  static_cast<void>(half_way.load());
  require(static_cast<parcel*>(from)->number == number, "another was at the value");
  ::new (to) parcel(number);
}
void end_parcel(void* value) noexcept {
  require(static_cast<parcel*>(value)->ended == 0, "ended twice");
  static_cast<parcel*>(value)->ended = 1;
}
constexpr channel_element parcels = {sizeof(parcel), alignof(parcel), move_parcel, end_parcel};

const base::wait_limit soon(std::chrono::hours(1));  // or earlier: the explorer decides
const base::wait_limit too_soon(std::chrono::steady_clock::time_point{});
const std::stop_source asked_never;
const base::wait_limit until_asked(asked_never.get_token());
constexpr channel_patience at_once{nullptr, true};

template <class Ground, std::uint64_t Capacity>
struct state {
  using channel = basic_channel<Ground>;
  static constexpr int numbers = 32;

  state() {
    Ground::reset();
    ::new (memory) channel(parcels, Capacity);
    if (Capacity == 0) return;
    // To the end of the first chunk.
    for (int i = 0; i < 7; ++i) {
      parcel one(0);
      it().send(parcels, &one);
      alignas(parcel) std::byte place[sizeof(parcel)];
      it().receive(parcels, place);
    }
  }
  // Not destroyed with the state: a schedule that is given up may leave waiters in it.
  channel& it() { return *std::launder(reinterpret_cast<channel*>(memory)); }

  template <class... Patience>
  channel_status send(int number, Patience... patience) {
    parcel one(number);
    const channel_status status = it().send(parcels, &one, patience...);
    if (status == channel_status::done) {
      ++sent;
      was_sent[number] = true;
    }
    return status;
  }
  template <class... Patience>
  channel_status receive(Patience... patience) {
    alignas(parcel) std::byte place[sizeof(parcel)];
    const channel_status status = it().receive(parcels, place, patience...);
    if (status == channel_status::done) {
      const parcel& got = *std::launder(reinterpret_cast<parcel*>(place));
      require(got.ended == 0, "an ended value");
      arrived(got.number);
    }
    return status;
  }
  // Numbers of one sender have the same tens.
  void arrived(int number) {
    require(number > 0 && number < numbers && !has_arrived[number], "arrived twice");
    has_arrived[number] = true;
    ++received;
  }
  void destroy() {
    if constexpr (Capacity != 0) it().clear(parcels);
    it().~channel();
    Ground::end_life_of(memory);  // of the channel only: groups of those who waited live on
    is_gone = true;
  }
  void check() {
    if (!is_gone) {
      while (receive(at_once) == channel_status::done) {
      }
      it().clear(parcels);
      it().~channel();  // ends the program when somebody still waits
    }
    require(sent == received, "as many as were sent");
    for (int i = 0; i < numbers; ++i) require(was_sent[i] == has_arrived[i], "another value");
  }

  alignas(channel) std::byte memory[sizeof(channel)];
  bool was_sent[numbers] = {};
  bool has_arrived[numbers] = {};
  int sent = 0;
  int received = 0;
  int done = 0;
  bool is_gone = false;
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
class RawChannel : public ::testing::Test {};

using grounds = ::testing::Types<explored_ground<interleave::watched_atomic>,
                                 explored_ground<interleave::watched_biased>>;
TYPED_TEST_SUITE(RawChannel, grounds, );

template <int Number>
constexpr auto send = [](auto& s) { require(s.send(Number) == channel_status::done, "not sent"); };
template <int Number>
constexpr auto send_two = [](auto& s) {
  require(s.send(Number) == channel_status::done, "not sent");
  require(s.send(Number + 1) == channel_status::done, "not sent");
};
constexpr auto receive = [](auto& s) {
  require(s.receive() == channel_status::done, "not received");
};
constexpr auto receive_two = [](auto& s) {
  require(s.receive() == channel_status::done, "not received");
  require(s.receive() == channel_status::done, "not received");
};
// In time or at last; the explorer decides when a time is over.
template <int Number>
constexpr auto send_at_last = [](auto& s) {
  if (s.send(Number, channel_patience{&soon, false}) == channel_status::done) return;
  require(s.send(Number) == channel_status::done, "not sent");
};
constexpr auto receive_at_last = [](auto& s) {
  if (s.receive(channel_patience{&soon, false}) == channel_status::done) return;
  require(s.receive() == channel_status::done, "not received");
};
constexpr auto receive_stopped_or_not = [](auto& s) {
  if (s.receive(channel_patience{&until_asked, false}) == channel_status::done) return;
  require(s.receive() == channel_status::done, "not received");
};
template <int Number>
constexpr auto send_or_leave = [](auto& s) {
  s.send(Number, channel_patience{&too_soon, false});
};
constexpr auto receive_or_leave = [](auto& s) { s.receive(channel_patience{&too_soon, false}); };
template <int Number>
constexpr auto try_to_send = [](auto& s) { s.send(Number, at_once); };
constexpr auto try_to_receive = [](auto& s) { s.receive(at_once); };
template <int Number>
constexpr auto send_till_closed = [](auto& s) { s.send(Number); };
constexpr auto receive_till_closed = [](auto& s) {
  while (s.receive() == channel_status::done) {
  }
};
constexpr auto close = [](auto& s) { require(s.it().close(), "closed before"); };
// Whoever was served last.
constexpr auto receive_then_destroy = [](auto& s) {
  receive(s);
  s.destroy();
};
constexpr auto two_then_destroy = [](auto& s) {
  receive_two(s);
  s.destroy();
};
constexpr auto send_then_destroy = [](auto& s) {
  send<1>(s);
  s.destroy();
};

TYPED_TEST(RawChannel, OneSendsAndOneReceives) {
  using run = with<TypeParam>;
  run::template expect_good<0>({send<1>, receive}, interleave::unbounded);
  run::template expect_good<1>({send<1>, receive}, interleave::unbounded);
  run::template expect_good<no_bound>({send<1>, receive}, interleave::unbounded);
  run::template expect_good<0>({send_two<1>, receive_two}, 4);
  run::template expect_good<1>({send_two<1>, receive_two}, 4);
  run::template expect_good<2>({send_two<1>, receive_two}, 4);
  run::template expect_good<no_bound>({send_two<1>, receive_two}, 4);
}

TYPED_TEST(RawChannel, OrderIsKept) {
  const auto in_order = [](auto& s) {
    for (int i = 1; i <= 3; ++i) {
      require(s.receive() == channel_status::done, "not received");
      require(s.has_arrived[i], "out of order");
    }
  };
  const auto three = [](auto& s) {
    for (int i = 1; i <= 3; ++i) require(s.send(i) == channel_status::done, "not sent");
  };
  using run = with<TypeParam>;
  run::template expect_good<0>({three, in_order}, 3);
  run::template expect_good<1>({three, in_order}, 3);
  run::template expect_good<2>({three, in_order}, 3);
  run::template expect_good<no_bound>({three, in_order}, 3);
}

TYPED_TEST(RawChannel, TwoSendersAndTwoReceivers) {
  using run = with<TypeParam>;
  run::template expect_good<0>({send<1>, send<11>, receive, receive}, 2);
  run::template expect_good<1>({send<1>, send<11>, receive, receive}, 1);
  run::template expect_good<no_bound>({send<1>, send<11>, receive, receive}, 1);
  run::template expect_good<0>({send_two<1>, send<11>, receive_two, receive}, 1);
  run::template expect_good<1>({send_two<1>, send_two<11>, receive_two, receive_two}, 1);
}

TYPED_TEST(RawChannel, AFullBufferAndItsWaiters) {
  using run = with<TypeParam>;
  run::template expect_good<1>({send<1>, send<11>, receive_two}, 3);
  run::template expect_good<1>({send_two<1>, receive, receive}, 2);
  run::template expect_good<2>({send_two<1>, send_two<11>, receive_two}, 2);
}

TYPED_TEST(RawChannel, WhoLeavesTakesNothingAlong) {
  using run = with<TypeParam>;
  run::template expect_good<0>({send_at_last<1>, receive_at_last}, 5);
  run::template expect_good<1>({send_at_last<1>, receive_at_last}, 5);
  run::template expect_good<0>({send_or_leave<1>, send_till_closed<11>, receive_till_closed, close},
                               1);
  run::template expect_good<0>({send_at_last<1>, send<11>, receive_two}, 2);
  run::template expect_good<1>({send_at_last<1>, send_two<11>, receive_two}, 2);
  run::template expect_good<0>({send_two<1>, receive_at_last, receive_stopped_or_not}, 2);
  run::template expect_good<1>({send_two<1>, receive_at_last, receive_stopped_or_not}, 2);
  run::template expect_good<no_bound>({send_two<1>, receive_at_last, receive_or_leave}, 2);
  run::template expect_good<0>({send_or_leave<1>, receive_or_leave}, interleave::unbounded);
  run::template expect_good<1>({send_or_leave<1>, send_or_leave<11>, receive_or_leave}, 2);
  run::template expect_good<1>({try_to_send<1>, send_or_leave<11>, try_to_receive}, 3);
}

TYPED_TEST(RawChannel, Closing) {
  using run = with<TypeParam>;
  run::template expect_good<0>({send_till_closed<1>, receive_till_closed, close}, 3);
  run::template expect_good<1>({send_till_closed<1>, receive_till_closed, close}, 3);
  run::template expect_good<no_bound>({send_till_closed<1>, receive_till_closed, close}, 2);
  run::template expect_good<0>({send_till_closed<1>, send_till_closed<11>, close}, 3);
  run::template expect_good<1>({send_till_closed<1>, send_till_closed<11>, close}, 2);
  run::template expect_good<0>({receive_till_closed, receive_till_closed, close}, 3);
  run::template expect_good<1>({receive_till_closed, receive_or_leave, close}, 2);
  run::template expect_good<1>(
      {send_till_closed<1>, send_till_closed<11>, receive_till_closed, close}, 1);
}

TYPED_TEST(RawChannel, TheLastReceiverMayDestroyIt) {
  using run = with<TypeParam>;
  run::template expect_good<0>({send<1>, receive_then_destroy}, interleave::unbounded);
  run::template expect_good<1>({send<1>, receive_then_destroy}, interleave::unbounded);
  run::template expect_good<no_bound>({send<1>, receive_then_destroy}, interleave::unbounded);
  const auto last_destroys = [](auto& s) {
    receive(s);
    if (++s.done == 2) s.destroy();
  };
  run::template expect_good<0>({send<1>, send<11>, last_destroys, last_destroys}, 2);
  run::template expect_good<1>({send<1>, send<11>, last_destroys, last_destroys}, 1);
  run::template expect_good<1>({send_two<1>, two_then_destroy}, 4);
  run::template expect_good<1>({send<1>, send<11>, two_then_destroy}, 2);
  run::template expect_good<0>({send_then_destroy, receive}, interleave::unbounded);
}

// A limit that ends as its operation is done: nothing of the channel may be looked at any more.
TYPED_TEST(RawChannel, TheLastReceiverMayDestroyItBesideALimit) {
  using run = with<TypeParam>;
  run::template expect_good<0>({send_at_last<1>, receive_then_destroy}, interleave::unbounded);
  run::template expect_good<0>({receive_at_last, send_then_destroy}, interleave::unbounded);
  const auto send_and_send_at_last = [](auto& s) {
    send<1>(s);
    send_at_last<2>(s);
  };
  run::template expect_good<1>({send_and_send_at_last, two_then_destroy}, 4);
}

TYPED_TEST(RawChannel, WhoeverLearnsOfTheEndMayDestroyIt) {
  using run = with<TypeParam>;
  const auto drain_then_destroy = [](auto& s) {
    receive_till_closed(s);
    s.destroy();
  };
  const auto send_and_close = [](auto& s) {
    send<1>(s);
    s.it().close();
  };
  run::template expect_good<0>({drain_then_destroy, close}, interleave::unbounded);
  run::template expect_good<1>({drain_then_destroy, close}, interleave::unbounded);
  run::template expect_good<0>({drain_then_destroy, send_and_close}, 4);
  run::template expect_good<1>({drain_then_destroy, send_and_close}, 4);
  run::template expect_good<no_bound>({drain_then_destroy, send_and_close}, 3);
  const auto fail_then_destroy = [](auto& s) {
    if (s.send(1) == channel_status::closed) s.destroy();
  };
  run::template expect_good<0>({fail_then_destroy, close}, interleave::unbounded);
  run::template expect_good<1>({fail_then_destroy, close}, interleave::unbounded);
  const auto late_then_destroy = [](auto& s) {
    if (s.receive(channel_patience{&soon, false}) == channel_status::closed) s.destroy();
  };
  run::template expect_good<0>({late_then_destroy, close}, 4);
  run::template expect_good<1>({late_then_destroy, close}, 4);
}

}  // namespace
}  // namespace treadle::sync
