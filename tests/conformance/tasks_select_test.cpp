// Tasks that wait for one of several, for broadcasts and for recursive mutexes, in every model,
// beside threads and foreign kernel threads.
#include <treadle/co.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class TaskSelect : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(TaskSelect, every_model, model_names);

struct pair_of_sockets {
  pair_of_sockets() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  ~pair_of_sockets() {
    io::close(ends[0]);
    io::close(ends[1]);
  }
  int ends[2];
};

using numbers = channel<int>;

// The value, negative when it came from the second.
task<int> either(numbers& first, numbers& second) {
  int got = 0;
  const std::size_t which =
      co_await co::select(on_receive(first, [&](std::optional<int> next) { got = next.value(); }),
                          on_receive(second, [&](std::optional<int> next) { got = -*next; }));
  EXPECT_EQ(which, got < 0 ? 1U : 0U);
  co_return got;
}

TYPED_TEST(TaskSelect, TakesWhatIsThereAndWaitsForTheFirst) {
  this->in([] {
    numbers first(1);
    numbers second;
    first.send(3);
    EXPECT_EQ(block_on(either(first, second)), 3);
    auto waits = spawn(either(first, second));
    this_thread::sleep_for(1ms);
    second.send(4);
    EXPECT_EQ(waits.join(), -4);
    waits = spawn(either(first, second));
    std::jthread foreign([&] { first.send(5); });
    EXPECT_EQ(waits.join(), 5);
  });
}

TYPED_TEST(TaskSelect, SendsOnlyWhatWasChosen) {
  this->in([] {
    channel<std::unique_ptr<int>> taken(1);
    channel<std::unique_ptr<int>> full;
    const auto offers = [&]() -> task<std::pair<bool, bool>> {
      auto one = std::make_unique<int>(1);
      auto two = std::make_unique<int>(2);
      const std::size_t which = co_await co::select(on_send(full, std::move(one), [] {}),
                                                    on_send(taken, std::move(two), [] {}));
      EXPECT_EQ(which, 1U);
      co_return std::pair(one != nullptr, two == nullptr);
    };
    EXPECT_EQ(block_on(offers()), std::pair(true, true));
    EXPECT_EQ(**taken.receive(), 2);
  });
}

TYPED_TEST(TaskSelect, LimitsStopsAndOtherwise) {
  this->in([] {
    numbers never;
    std::stop_source stop;
    const auto waits = [&]() -> task<std::size_t> {
      const std::size_t late =
          co_await co::select(on_receive(never, [](auto) {}), after(2ms, [] {}));
      EXPECT_EQ(late, 1U);
      const std::size_t none =
          co_await co::select(on_receive(never, [](auto) {}), otherwise([] {}));
      EXPECT_EQ(none, 1U);
      co_return co_await co::select(after(1h, [] {}), on_receive(never, [](auto) {}),
                                    on_stop(stop.get_token(), [] {}));
    };
    auto running = spawn(waits());
    this_thread::sleep_for(4ms);
    stop.request_stop();
    EXPECT_EQ(running.join(), 2U);
    never.close();
    const auto closed = [&]() -> task<bool> {
      bool has_value = true;
      co_await co::select(on_receive(never, [&](std::optional<int> got) { has_value = !!got; }));
      co_return has_value;
    };
    EXPECT_FALSE(block_on(closed()));
  });
}

TYPED_TEST(TaskSelect, OtherwiseHidesNeitherAStopNorATime) {
  this->in([] {
    numbers never;
    pair_of_sockets sockets;
    std::stop_source stop;
    const auto past = std::chrono::steady_clock::now() - 1h;
    const auto token = stop.get_token();
    const auto takes = [&](std::chrono::nanoseconds later) -> task<std::size_t> {
      const std::size_t which =
          co_await co::select(otherwise([] {}), at(past + later, [] {}), on_stop(token, [] {}),
                              on_receive(never, [](auto) {}));
      const std::size_t with_a_descriptor =
          co_await co::select(otherwise([] {}), at(past + later, [] {}), on_stop(token, [] {}),
                              on_readable(sockets.ends[0], [] {}));
      EXPECT_EQ(with_a_descriptor, which);
      co_return which;
    };
    EXPECT_EQ(block_on(takes(2h)), 0U);
    EXPECT_EQ(block_on(takes(0h)), 1U);
    stop.request_stop();
    EXPECT_EQ(block_on(takes(0h)), 2U);
    EXPECT_EQ(block_on(takes(2h)), 2U);
  });
}

TYPED_TEST(TaskSelect, ExceptionsOfACallbackAreItsOwn) {
  this->in([] {
    numbers one(1);
    one.send(1);
    const auto throws = [&]() -> task<> {
      co_await co::select(on_receive(one, [](auto) { throw std::runtime_error("callback"); }));
    };
    EXPECT_THROW(block_on(throws()), std::runtime_error);
  });
}

// Values cross in all directions, some waits give up; none is lost and none comes twice.
TYPED_TEST(TaskSelect, LosesNothingInACrowd) {
  this->in([] {
    constexpr int senders = 4;
    const int each = static_cast<int>(scaled(1000, TestFixture::own_kernel_threads));
    numbers left;
    numbers right(2);
    std::atomic<int> received{0};
    std::atomic<std::int64_t> sum{0};
    const auto sends = [&](int from) -> task<> {
      for (int i = 0; i < each;) {
        const int value = from * each + i;
        const std::size_t which =
            co_await co::select(on_send(left, value, [] {}), on_send(right, value, [] {}),
                                after(std::chrono::microseconds(i % 3 == 0 ? 50 : 5'000), [] {}));
        if (which < 2) ++i;
      }
    };
    const auto take = [&](std::optional<int> next) {
      if (!next) return;
      received.fetch_add(1);
      sum.fetch_add(*next);
    };
    const auto receives = [&]() -> task<> {
      while (received.load() < senders * each) {
        co_await co::select(on_receive(right, take), on_receive(left, take), after(200us, [] {}));
      }
    };
    std::vector<task_handle<void>> all;
    for (int i = 0; i < senders; ++i) all.push_back(spawn(sends(i)));
    for (int i = 0; i < 3; ++i) all.push_back(spawn(receives()));
    thread beside([&] {
      while (received.load() < senders * each) {
        select(on_receive(left, take), on_receive(right, take), after(200us, [] {}));
      }
    });
    for (auto& one : all) one.join();
    beside.join();
    const std::int64_t count = std::int64_t{senders} * each;
    EXPECT_EQ(received.load(), count);
    EXPECT_EQ(sum.load(), count * (count - 1) / 2);
  });
}

TYPED_TEST(TaskSelect, DescriptorsAndChannelsTogether) {
  this->in([] {
    pair_of_sockets sockets;
    numbers requests;
    const auto waits = [&]() -> task<std::size_t> {
      co_return co_await co::select(on_receive(requests, [](auto) {}),
                                    on_readable(sockets.ends[0], [] {}));
    };
    const std::size_t rounds = scaled(100, TestFixture::own_kernel_threads);
    for (std::size_t i = 0; i < rounds; ++i) {
      auto running = spawn(waits());
      if (i % 4 < 2) this_thread::yield();
      if (i % 2 == 0) {
        requests.send(1);
        EXPECT_EQ(running.join(), 0U);
      } else {
        char byte = 'a';
        EXPECT_EQ(io::write(sockets.ends[1], &byte, 1), 1);
        EXPECT_EQ(running.join(), 1U);
        EXPECT_EQ(io::read(sockets.ends[0], &byte, 1), 1);
      }
    }
    const auto late = [&]() -> task<std::size_t> {
      co_return co_await co::select(on_readable(sockets.ends[0], [] {}), after(2ms, [] {}));
    };
    EXPECT_EQ(block_on(late()), 1U);
    const auto none = [&]() -> task<std::size_t> {
      co_return co_await co::select(on_readable(sockets.ends[0], [] {}), otherwise([] {}));
    };
    EXPECT_EQ(block_on(none()), 1U);
    const auto writes = [&]() -> task<std::size_t> {
      co_return co_await co::select(on_readable(sockets.ends[0], [] {}),
                                    on_writable(sockets.ends[0], [] {}));
    };
    EXPECT_EQ(block_on(writes()), 1U);
  });
}

TYPED_TEST(TaskSelect, ADescriptorThatIsClosedIsReady) {
  this->in([] {
    pair_of_sockets sockets;
    const int watched = ::dup(sockets.ends[0]);
    numbers never;
    const auto waits = [&]() -> task<std::size_t> {
      co_return co_await co::select(on_receive(never, [](auto) {}), on_readable(watched, [] {}));
    };
    auto running = spawn(waits());
    this_thread::sleep_for(2ms);
    io::close(watched);
    EXPECT_EQ(running.join(), 1U);
  });
}

TYPED_TEST(TaskSelect, SubscriptionsOfABroadcast) {
  this->in([] {
    broadcast<int> news(4);
    auto early = news.subscribe();
    const auto reads = [](broadcast<int>::subscription from) -> task<int> {
      int sum = 0;
      for (;;) {
        const auto next = co_await co::receive(from);
        if (next.status == broadcast_status::closed) co_return sum;
        sum += next ? *next.value : static_cast<int>(1000 * next.missed);
      }
    };
    auto first = spawn(reads(early));
    auto second = spawn(reads(early));
    for (int i = 1; i <= 3; ++i) {
      news.send(i);
      this_thread::yield();
    }
    const auto at_limit = [&](wait_limit limit) -> task<broadcast_status> {
      auto from = news.subscribe();
      const auto next = co_await co::receive(from, limit);
      co_return next.status;
    };
    EXPECT_EQ(block_on(at_limit(2ms)), broadcast_status::gave_up);
    news.close();
    EXPECT_EQ(first.join(), 6);
    EXPECT_EQ(second.join(), 6);
    EXPECT_EQ(block_on(at_limit(1h)), broadcast_status::closed);
  });
}

TYPED_TEST(TaskSelect, ALaggingSubscriberIsTold) {
  this->in([] {
    broadcast<int> news(2);
    auto from = news.subscribe();
    for (int i = 0; i < 5; ++i) news.send(i);
    const auto reads = [&]() -> task<> {
      const auto lagged = co_await co::receive(from);
      EXPECT_EQ(lagged.status, broadcast_status::lagged);
      EXPECT_EQ(lagged.missed, 3U);
      auto next = co_await co::receive(from);
      EXPECT_EQ(*next, 3);
    };
    block_on(reads());
  });
}

TYPED_TEST(TaskSelect, RecursiveMutexesCountTheirLocks) {
  this->in([] {
    recursive_timed_mutex guard;
    const auto outer = [&]() -> task<bool> {
      auto first = co_await co::lock(guard);
      auto second = co_await co::lock(guard, 1h);
      EXPECT_TRUE(second.owns_lock());
      co_await co::sleep_for(1ms);
      first.unlock();
      const auto free = co_await co::run([&] { return guard.try_lock(); });
      EXPECT_FALSE(free);
      second.unlock();
      co_return co_await co::run([&] {
        const bool had = guard.try_lock();
        if (had) guard.unlock();
        return had;
      });
    };
    EXPECT_TRUE(block_on(outer()));
    guard.lock();
    const auto late = [&]() -> task<bool> {
      const auto hold = co_await co::lock(guard, 2ms);
      co_return hold.owns_lock();
    };
    auto running = spawn(late());
    EXPECT_FALSE(running.join());
    guard.unlock();
  });
}

TYPED_TEST(TaskSelect, RecursiveMutexesExcludeTasksAndThreads) {
  this->in([] {
    recursive_mutex guard;
    const int rounds = static_cast<int>(scaled(2000, TestFixture::own_kernel_threads));
    int count = 0;
    const auto adds = [&]() -> task<> {
      for (int i = 0; i < rounds; ++i) {
        const auto outer = co_await co::lock(guard);
        const auto inner = co_await co::lock(guard);
        const int seen = count;
        if (i % 16 == 0) co_await co::yield();
        count = seen + 1;
      }
    };
    auto one = spawn(adds());
    auto two = spawn(adds());
    thread beside([&] {
      for (int i = 0; i < rounds; ++i) {
        const std::lock_guard outer(guard);
        const std::lock_guard inner(guard);
        ++count;
      }
    });
    one.join();
    two.join();
    beside.join();
    EXPECT_EQ(count, 3 * rounds);
  });
}

}  // namespace
}  // namespace treadle
