// Channels that are destroyed by who was served last, while the limit of the other one ends:
// threads, tasks and foreign kernel threads, in every model. What is touched too late shows under
// the sanitizers.
#include <treadle/channel.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "tests/support/actors.hpp"

namespace treadle {
namespace {

using testing_support::actor;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::party;
using testing_support::scaled;

template <class Model>
class ChannelEnds : public testing_support::with_actors<Model> {};
TYPED_TEST_SUITE(ChannelEnds, every_model, model_names);

// Of a hand-over: now and then the other comes just as it is over.
std::chrono::microseconds brief(std::size_t round) {
  return std::chrono::microseconds(round * 7 % 60);
}

using lines = std::vector<std::unique_ptr<channel<int>>>;

lines make_lines(std::size_t count) {
  lines all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(std::make_unique<channel<int>>(0));
  return all;
}

TYPED_TEST(ChannelEnds, TheReceiverDestroysWhileTheSendersLimitEnds) {
  this->for_each_pair([this](party left, party right) {
    lines all = make_lines(scaled(400, this->own_kernel_threads));
    actor sender = this->act(
        left,
        [&] {
          for (std::size_t i = 0; i < all.size(); ++i) {
            channel<int>& line = *all[i];
            if (line.send(1, brief(i)) != channel_status::done) line.send(2);
          }
        },
        [&]() -> task<> {
          for (std::size_t i = 0; i < all.size(); ++i) {
            channel<int>& line = *all[i];
            const channel_status sent = co_await co::send(line, 1, brief(i));
            if (sent != channel_status::done) co_await co::send(line, 2);
          }
        });
    actor receiver = this->act(
        right,
        [&] {
          for (auto& line : all) {
            EXPECT_TRUE(line->receive());
            line.reset();
          }
        },
        [&]() -> task<> {
          for (auto& line : all) {
            const auto got = co_await co::receive(*line);
            EXPECT_TRUE(got);
            line.reset();
          }
        });
    sender.join();
    receiver.join();
  });
}

TYPED_TEST(ChannelEnds, TheSenderDestroysWhileTheReceiversLimitEnds) {
  this->for_each_pair([this](party left, party right) {
    lines all = make_lines(scaled(400, this->own_kernel_threads));
    actor receiver = this->act(
        left,
        [&] {
          for (std::size_t i = 0; i < all.size(); ++i) {
            channel<int>& line = *all[i];
            if (line.receive(brief(i))) continue;
            EXPECT_TRUE(line.receive());
          }
        },
        [&]() -> task<> {
          for (std::size_t i = 0; i < all.size(); ++i) {
            channel<int>& line = *all[i];
            auto got = co_await co::receive(line, brief(i));
            if (!got) got = co_await co::receive(line);
            EXPECT_TRUE(got);
          }
        });
    actor sender = this->act(
        right,
        [&] {
          for (auto& line : all) {
            EXPECT_EQ(line->send(1), channel_status::done);
            line.reset();
          }
        },
        [&]() -> task<> {
          for (auto& line : all) {
            const channel_status sent = co_await co::send(*line, 1);
            EXPECT_EQ(sent, channel_status::done);
            line.reset();
          }
        });
    receiver.join();
    sender.join();
  });
}

}  // namespace
}  // namespace treadle
