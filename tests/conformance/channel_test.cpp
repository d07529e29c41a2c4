// Channels in every model, and between a model's threads and foreign kernel threads.
#include <treadle/channel.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Channel : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Channel, every_model, model_names);

static_assert(!std::is_copy_constructible_v<channel<int>>);
static_assert(!std::is_move_constructible_v<channel<int>>);
static_assert(std::is_constructible_v<channel<std::unique_ptr<int>>, std::size_t>);
static_assert(std::input_iterator<channel<int>::iterator>);

constexpr std::size_t capacities[] = {0, 1, 3, 64, unbounded};
constexpr std::size_t buffered[] = {1, 3, 64, unbounded};

TYPED_TEST(Channel, KeepsValuesInOrder) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      channel<int> values(capacity);
      EXPECT_EQ(values.capacity(), capacity);
      const int count = static_cast<int>(scaled(3000, true));
      thread sender([&] {
        for (int i = 0; i < count; ++i) ASSERT_EQ(values.send(i), channel_status::done);
      });
      for (int i = 0; i < count; ++i) {
        const auto got = values.receive();
        ASSERT_TRUE(got);
        ASSERT_EQ(*got, i);
      }
      sender.join();
      EXPECT_TRUE(values.empty());
      EXPECT_EQ(values.try_receive().status(), channel_status::gave_up);
    }
  });
}

TYPED_TEST(Channel, ManySendersAndManyReceiversLoseNothing) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      channel<std::size_t> values(capacity);
      constexpr std::size_t each_side = 5;
      const std::size_t count = scaled(1000, true);
      std::vector<std::atomic<int>> seen(each_side * count);
      std::vector<thread> senders;
      std::vector<thread> receivers;
      for (std::size_t s = 0; s < each_side; ++s) {
        receivers.emplace_back([&] {
          std::vector<std::size_t> last(each_side, 0);
          for (const std::size_t value : values) {
            seen[value].fetch_add(1);
            const std::size_t from = value / count;
            EXPECT_GE(value % count + 1, last[from] + 1);  // of one sender in its order
            last[from] = value % count + 1;
          }
        });
        senders.emplace_back([&, s] {
          for (std::size_t i = 0; i < count; ++i) {
            EXPECT_EQ(values.send(s * count + i), channel_status::done);
            if (i % 7 == 0) this_thread::yield();
          }
        });
      }
      for (thread& t : senders) t.join();
      EXPECT_TRUE(values.close());
      EXPECT_FALSE(values.close());
      for (thread& t : receivers) t.join();
      for (const auto& times : seen) ASSERT_EQ(times, 1);
    }
  });
}

TYPED_TEST(Channel, ABoundIsKept) {
  this->in([] {
    for (const std::size_t capacity : {1, 3, 64}) {
      channel<int> values(capacity);
      for (std::size_t i = 0; i < capacity; ++i) {
        EXPECT_EQ(values.try_send(static_cast<int>(i)), channel_status::done);
      }
      EXPECT_EQ(values.size(), capacity);
      EXPECT_EQ(values.try_send(-1), channel_status::gave_up);
      EXPECT_EQ(values.send(-1, 1ms), channel_status::gave_up);
      std::atomic<bool> sent = false;
      thread sender([&] {
        EXPECT_EQ(values.send(-1), channel_status::done);
        sent = true;
      });
      for (int i = 0; i < 20; ++i) this_thread::yield();
      EXPECT_FALSE(sent);
      for (std::size_t i = 0; i < capacity; ++i) EXPECT_EQ(*values.receive(), static_cast<int>(i));
      EXPECT_EQ(*values.receive(), -1);
      sender.join();
    }
  });
}

TYPED_TEST(Channel, WithoutABufferASenderWaitsForItsReceiver) {
  this->in([] {
    channel<int> values;
    EXPECT_EQ(values.try_send(1), channel_status::gave_up);
    EXPECT_EQ(values.try_receive().status(), channel_status::gave_up);
    std::atomic<bool> received = false;
    thread receiver([&] {
      for (int i = 0; i < 20; ++i) this_thread::yield();
      received = true;
      EXPECT_EQ(*values.receive(), 1);
    });
    EXPECT_EQ(values.send(1), channel_status::done);
    EXPECT_TRUE(received);
    receiver.join();
  });
}

TYPED_TEST(Channel, ClosingLetsReceiversDrainAndGivesValuesBack) {
  this->in([] {
    for (const std::size_t capacity : {0, 1, 3}) {
      channel<std::unique_ptr<int>> values(capacity);
      for (std::size_t i = 0; i < capacity; ++i) {
        values.send(std::make_unique<int>(static_cast<int>(i)));
      }
      std::atomic<int> waiting = 0;
      std::vector<thread> senders;
      for (int s = 0; s < 4; ++s) {
        senders.emplace_back([&, s] {
          auto mine = std::make_unique<int>(s);
          ++waiting;
          EXPECT_EQ(values.send(std::move(mine)), channel_status::closed);
          ASSERT_NE(mine, nullptr);
          EXPECT_EQ(*mine, s);
        });
      }
      eventually([&] { return waiting == 4; });
      for (int i = 0; i < 10; ++i) this_thread::yield();
      values.close();
      EXPECT_TRUE(values.is_closed());
      for (thread& t : senders) t.join();
      auto late = std::make_unique<int>(9);
      EXPECT_EQ(values.try_send(std::move(late)), channel_status::closed);
      EXPECT_EQ(*late, 9);
      for (std::size_t i = 0; i < capacity; ++i) {
        auto got = values.receive();
        ASSERT_TRUE(got);
        EXPECT_EQ(**got, static_cast<int>(i));
      }
      EXPECT_EQ(values.receive().status(), channel_status::closed);
      EXPECT_EQ(values.try_receive().status(), channel_status::closed);
      EXPECT_THROW(static_cast<void>(values.receive().value()), std::bad_optional_access);
    }
  });
}

TYPED_TEST(Channel, ClosingWakesReceivers) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      channel<int> values(capacity);
      std::vector<thread> receivers;
      for (int r = 0; r < 4; ++r) {
        receivers.emplace_back([&, r] {
          const auto got = r % 2 == 0 ? values.receive() : values.receive(1h);
          EXPECT_EQ(got.status(), channel_status::closed);
        });
      }
      for (int i = 0; i < 10; ++i) this_thread::yield();
      values.close();
      for (thread& t : receivers) t.join();
    }
  });
}

TYPED_TEST(Channel, LimitsEndWaits) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      channel<int> values(capacity);
      stop_source stop;
      EXPECT_EQ(values.receive(1ms).status(), channel_status::gave_up);
      EXPECT_EQ(values.receive(-1s).status(), channel_status::gave_up);
      thread asks([&] {
        for (int i = 0; i < 10; ++i) this_thread::yield();
        stop.request_stop();
      });
      EXPECT_EQ(values.receive(stop.get_token()).status(), channel_status::gave_up);
      asks.join();
      if (capacity == unbounded) continue;
      while (values.try_send(1) == channel_status::done) {
      }
      EXPECT_EQ(values.send(2, 1ms), channel_status::gave_up);
      EXPECT_EQ(values.send(2, stop.get_token()), channel_status::gave_up);
      // What is there is taken after the limit, too.
      if (capacity != 0) {
        EXPECT_TRUE(values.receive({0s, stop.get_token()}));
        EXPECT_EQ(values.send(1, stop.get_token()), channel_status::done);
      }
    }
  });
}

// Of a time-out or a stop and a hand-over exactly one happens.
TYPED_TEST(Channel, LimitsAgainstHandOvers) {
  this->in([] {
    for (const std::size_t capacity : {0, 1, 2}) {
      channel<int> values(capacity);
      std::atomic<int> sent = 0;
      std::atomic<int> received = 0;
      std::vector<thread> threads;
      const int count = static_cast<int>(scaled(400, true));
      for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
          for (int i = 0; i < count; ++i) {
            const bool done =
                values.send(i, std::chrono::microseconds((i + t) % 5)) == channel_status::done;
            sent += done ? 1 : 0;
          }
        });
        threads.emplace_back([&] {
          for (int i = 0; i < count; ++i) {
            stop_source stop;
            thread asks([&] { stop.request_stop(); });
            if (values.receive(stop.get_token())) ++received;
            asks.join();
          }
        });
      }
      for (thread& t : threads) t.join();
      while (values.try_receive()) ++received;
      EXPECT_EQ(sent, received);
    }
  });
}

TYPED_TEST(Channel, WhoeverGotTheLastValueMayDestroyIt) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      for (std::size_t i = 0; i < scaled(500, true); ++i) {
        auto values = std::make_unique<channel<int>>(capacity);
        thread sender([them = values.get(), i] {
          them->send(1);
          if (i % 2 != 0) them->close();
        });
        EXPECT_EQ(*values->receive(), 1);
        if (i % 2 != 0) {
          EXPECT_FALSE(values->receive());
        }
        values.reset();
        sender.join();
      }
    }
  });
}

TYPED_TEST(Channel, ForeignKernelThreadsOnEitherSide) {
  for (const std::size_t capacity : capacities) {
    channel<int> there(capacity);
    channel<int> back(capacity);
    std::thread foreign([&] {
      for (const int value : there) EXPECT_EQ(back.send(value + 1), channel_status::done);
      back.close();
    });
    this->in([&] {
      const int count = static_cast<int>(scaled(300, true));
      thread sender([&] {
        for (int i = 0; i < count; ++i) EXPECT_EQ(there.send(i), channel_status::done);
        there.close();
      });
      int expected = 0;
      for (const int value : back) EXPECT_EQ(value, ++expected);
      EXPECT_EQ(expected, count);
      sender.join();
    });
    foreign.join();
  }
}

// Counts itself.
struct counted {
  static inline std::atomic<int> alive = 0;
  explicit counted(std::string said) : text(std::move(said)) { ++alive; }
  counted(counted&& other) noexcept : text(std::move(other.text)) { ++alive; }
  ~counted() { --alive; }
  std::string text;
};

TYPED_TEST(Channel, EndsEveryValueOnce) {
  this->in([] {
    const std::string said(100, 'x');
    for (const std::size_t capacity : buffered) {
      {
        channel<counted> values(capacity);
        thread other([&] {
          for (int i = 0; i < 500; ++i) values.send(counted(said));
          values.close();
        });
        int got = 0;
        for (counted& value : values) {
          EXPECT_EQ(value.text, said);
          if (++got == 499) break;
        }
        other.join();
        std::optional<counted> last = values.receive();
        EXPECT_TRUE(last.has_value());
      }
      EXPECT_EQ(counted::alive, 0);
      {
        channel<counted> left(capacity);
        left.send(counted(said));
      }
      EXPECT_EQ(counted::alive, 0);
    }
  });
}

// Throws from its n-th move.
struct moody {
  explicit moody(int n, int throws) : number(n), moves_left(throws) {}
  moody(moody&& other) : number(other.number), moves_left(other.moves_left - 1) {  // NOLINT: throws
    if (moves_left == 0) throw std::runtime_error("moody");
    other.number = -1;
  }
  moody& operator=(moody&& other) {  // NOLINT: as above
    number = std::exchange(other.number, -1);
    return *this;
  }
  int number;
  int moves_left;
};

TYPED_TEST(Channel, AMoveThatThrowsHurtsNobodyElse) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      channel<moody> values(capacity);
      moody first(1, 1);
      EXPECT_THROW(values.send(std::move(first)), std::runtime_error);
      EXPECT_EQ(first.number, 1);  // NOLINT: was not moved
      EXPECT_EQ(values.try_receive().status(), channel_status::gave_up);
      if (capacity != unbounded) {
        moody second(2, 0);
        while (values.try_send(moody(0, 0)) == channel_status::done) {
        }
        EXPECT_EQ(values.send(std::move(second), 1ms), channel_status::gave_up);
        EXPECT_EQ(second.number, 2);  // NOLINT: given back
        while (values.try_receive()) {
        }
      }
      thread sender([&] {
        EXPECT_EQ(values.send(moody(3, 0)), channel_status::done);
        EXPECT_EQ(values.send(moody(4, 2)), channel_status::done);
        EXPECT_EQ(values.send(moody(5, 0)), channel_status::done);
        values.close();
      });
      EXPECT_EQ(values.receive()->number, 3);
      EXPECT_THROW(static_cast<void>(values.receive()), std::runtime_error);
      EXPECT_EQ(values.receive()->number, 5);
      EXPECT_EQ(values.receive().status(), channel_status::closed);
      sender.join();
    }
  });
}

TYPED_TEST(Channel, SendsCopiesToo) {
  this->in([] {
    channel<std::string> texts(1);
    const std::string text = "twice";
    EXPECT_EQ(texts.send(text), channel_status::done);
    EXPECT_EQ(text, "twice");
    EXPECT_EQ(*texts.receive(), text);
    EXPECT_EQ(texts.try_send(text), channel_status::done);
    EXPECT_EQ(texts.receive()->size(), 5U);
  });
}

TYPED_TEST(Channel, RefusesACapacityThatMakesNoSense) {
  EXPECT_THROW(channel<int>(std::size_t{1} << 60), std::length_error);
}

}  // namespace
}  // namespace treadle
