// oneshot and broadcast in every model.
#include <treadle/broadcast.hpp>
#include <treadle/oneshot.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <treadle/select.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class OneshotBroadcast : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(OneshotBroadcast, every_model, model_names);

TYPED_TEST(OneshotBroadcast, OneValueOnce) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(200, true); ++i) {
      auto [sender, receiver] = make_oneshot<std::unique_ptr<int>>();
      thread other([s = std::move(sender)]() mutable {
        EXPECT_EQ(std::move(s).send(std::make_unique<int>(7)), channel_status::done);
      });
      auto got = receiver.receive();
      EXPECT_EQ(**got, 7);
      EXPECT_EQ(receiver.receive().status(), channel_status::closed);
      other.join();
    }
  });
}

TYPED_TEST(OneshotBroadcast, ASenderThatGoesWakesTheReceiver) {
  this->in([] {
    auto [sender, receiver] = make_oneshot<int>();
    EXPECT_EQ(receiver.try_receive().status(), channel_status::gave_up);
    EXPECT_EQ(receiver.receive(1ms).status(), channel_status::gave_up);
    thread other([s = std::move(sender)] {
      for (int i = 0; i < 5; ++i) this_thread::yield();
    });
    EXPECT_EQ(receiver.receive().status(), channel_status::closed);
    other.join();
  });
}

TYPED_TEST(OneshotBroadcast, ASenderThatIsOverwrittenIsGone) {
  this->in([] {
    auto [first, told] = make_oneshot<int>();
    auto [second, served] = make_oneshot<int>();
    first = std::move(second);
    EXPECT_EQ(told.receive().status(), channel_status::closed);
    EXPECT_EQ(std::move(first).send(7), channel_status::done);
    EXPECT_EQ(*served.receive(), 7);
  });
}

TYPED_TEST(OneshotBroadcast, AReceiverThatGoesLeavesTheValue) {
  this->in([] {
    auto [sender, receiver] = make_oneshot<std::unique_ptr<int>>();
    EXPECT_FALSE(sender.is_closed());
    { const auto gone = std::move(receiver); }
    EXPECT_TRUE(sender.is_closed());
    auto mine = std::make_unique<int>(1);
    EXPECT_EQ(std::move(sender).send(std::move(mine)), channel_status::closed);
    EXPECT_NE(mine, nullptr);  // NOLINT: given back
  });
}

TYPED_TEST(OneshotBroadcast, AOneshotInASelect) {
  this->in([] {
    auto [sender, receiver] = make_oneshot<int>();
    thread other([s = std::move(sender)]() mutable { std::move(s).send(3); });
    int got = 0;
    EXPECT_EQ(select(on_receive(receiver.as_channel(), [&](auto value) { got = *value; }),
                     after(1h, [] {})),
              0U);
    EXPECT_EQ(got, 3);
    other.join();
  });
}

TYPED_TEST(OneshotBroadcast, EverySubscriberSeesEveryValue) {
  this->in([] {
    const int count = static_cast<int>(scaled(500, true));
    broadcast<int> news(static_cast<std::size_t>(count));
    EXPECT_TRUE(news.send(-1));  // nobody hears it
    std::vector<thread> readers;
    for (int r = 0; r < 4; ++r) {
      readers.emplace_back([&, mine = news.subscribe()]() mutable {
        for (int i = 0; i < count; ++i) {
          auto one = mine.receive();
          ASSERT_EQ(one.status, broadcast_status::done);
          ASSERT_EQ(*one, i);
        }
        EXPECT_EQ(mine.receive().status, broadcast_status::closed);
      });
    }
    std::thread foreign([&, mine = news.subscribe()]() mutable {
      int sum = 0;
      while (auto one = mine.receive()) sum += *one;
      EXPECT_EQ(sum, count * (count - 1) / 2);
    });
    for (int i = 0; i < count; ++i) EXPECT_TRUE(news.send(i));
    news.close();
    EXPECT_FALSE(news.send(1));
    for (thread& t : readers) t.join();
    foreign.join();
  });
}

TYPED_TEST(OneshotBroadcast, WhoLagsIsTold) {
  this->in([] {
    std::optional<broadcast<int>> news(4);
    auto mine = news->subscribe();
    EXPECT_EQ(mine.try_receive().status, broadcast_status::gave_up);
    EXPECT_EQ(mine.receive(1ms).status, broadcast_status::gave_up);
    for (int i = 0; i < 10; ++i) news->send(i);
    auto copy = mine;
    const auto lost = mine.receive();
    EXPECT_EQ(lost.status, broadcast_status::lagged);
    EXPECT_EQ(lost.missed, 6U);
    for (int i = 6; i < 10; ++i) EXPECT_EQ(*mine.receive(), i);
    EXPECT_EQ(mine.try_receive().status, broadcast_status::gave_up);
    news.reset();
    EXPECT_EQ(mine.receive().status, broadcast_status::closed);
    EXPECT_EQ(copy.receive().missed, 6U);
    EXPECT_THROW(broadcast<int>(0), std::invalid_argument);
  });
}

}  // namespace
}  // namespace treadle
