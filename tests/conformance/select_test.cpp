// select() in every model, and between a model's threads and foreign kernel threads.
#include <treadle/select.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <treadle/io.hpp>
#include <utility>
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
class Select : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Select, every_model, model_names);

constexpr std::size_t capacities[] = {0, 1, 8, unbounded};

struct pipe_ends {
  pipe_ends() {
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
  }
  ~pipe_ends() {
    io::close(ends[0]);
    io::close(ends[1]);
  }
  int ends[2];
};

TYPED_TEST(Select, TakesWhatIsThere) {
  this->in([] {
    channel<int> one(1);
    channel<std::unique_ptr<int>> other(1);
    int got = 0;
    const auto take = [&] {
      return select(on_receive(one, [&](std::optional<int> value) { got = value.value(); }),
                    on_receive(other, [&](auto value) { got = **value; }),
                    otherwise([&] { got = -1; }));
    };
    EXPECT_EQ(take(), 2U);
    EXPECT_EQ(got, -1);
    one.send(1);
    EXPECT_EQ(take(), 0U);
    EXPECT_EQ(got, 1);
    other.send(std::make_unique<int>(2));
    EXPECT_EQ(take(), 1U);
    EXPECT_EQ(got, 2);
    int sent = 0;
    EXPECT_EQ(select(on_send(one, 3, [&] { ++sent; })), 0U);
    EXPECT_EQ(select(on_send(one, 3, [&] { ++sent; }), otherwise([] {})), 1U);
    EXPECT_EQ(sent, 1);
    EXPECT_EQ(take(), 0U);
    EXPECT_EQ(got, 3);
  });
}

TYPED_TEST(Select, WaitsForTheFirst) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      channel<int> one(capacity);
      channel<int> other(capacity);
      for (int i = 0; i < 10; ++i) {
        thread sender([&] { (i % 2 == 0 ? one : other).send(i); });
        int got = -1;
        const auto keep = [&](std::optional<int> value) { got = *value; };
        EXPECT_EQ(select(on_receive(one, keep), on_receive(other, keep), after(1h, [] {})),
                  static_cast<std::size_t>(i % 2));
        EXPECT_EQ(got, i);
        sender.join();
      }
    }
  });
}

TYPED_TEST(Select, LosesNothingInACrowd) {
  this->in([] {
    for (const std::size_t capacity : capacities) {
      std::array<channel<std::size_t>, 3> lanes{channel<std::size_t>(capacity),
                                                channel<std::size_t>(capacity),
                                                channel<std::size_t>(capacity)};
      const std::size_t count = scaled(1000, true);
      std::vector<std::atomic<int>> seen(4 * count);
      std::vector<thread> senders;
      std::vector<thread> receivers;
      std::atomic<std::size_t> left = 4 * count;
      stop_source all_there;
      for (std::size_t s = 0; s < 4; ++s) {
        senders.emplace_back([&, s] {
          for (std::size_t i = 0; i < count; ++i) {
            const std::size_t value = s * count + i;
            if (i % 3 == 0) {
              EXPECT_EQ(lanes[i % 2].send(value), channel_status::done);
            } else {
              select(on_send(lanes[0], value, [] {}), on_send(lanes[1], value, [] {}),
                     on_send(lanes[2], value, [] {}));
            }
          }
        });
        receivers.emplace_back([&] {
          bool over = false;
          const auto count_it = [&](std::optional<std::size_t> value) {
            seen[*value].fetch_add(1);
            if (left.fetch_sub(1) == 1) all_there.request_stop();
          };
          while (!over) {
            select(on_receive(lanes[0], count_it), on_receive(lanes[1], count_it),
                   on_receive(lanes[2], count_it),
                   on_stop(all_there.get_token(), [&] { over = true; }));
          }
        });
      }
      for (thread& t : senders) t.join();
      for (thread& t : receivers) t.join();
      for (const auto& times : seen) ASSERT_EQ(times, 1);
    }
  });
}

// Each of two sends to the other or receives from it, whichever comes first: exactly one of the two
// exchanges happens in each round.
TYPED_TEST(Select, CrosswiseSelectsAgree) {
  this->in([] {
    channel<int> there;
    channel<int> back;
    std::atomic<int> balance = 0;
    const std::size_t rounds = scaled(2000, true);
    const auto work = [&](channel<int>& out, channel<int>& in) {
      for (std::size_t i = 0; i < rounds; ++i) {
        select(on_send(out, 1, [&] { ++balance; }), on_receive(in, [&](auto) { --balance; }));
      }
    };
    thread one([&] { work(there, back); });
    thread other([&] { work(back, there); });
    one.join();
    other.join();
    EXPECT_EQ(balance, 0);
  });
}

TYPED_TEST(Select, MeetsOthersButNeverItself) {
  this->in([] {
    channel<int> only;
    const auto both_ways = [&] {
      return select(on_send(only, 1, [] {}), on_receive(only, [](auto) {}), after(1ms, [] {}));
    };
    EXPECT_EQ(both_ways(), 2U);
    std::atomic<int> sent = 0;
    std::atomic<int> received = 0;
    const std::size_t rounds = scaled(1000, true);
    const auto work = [&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        select(on_send(only, 1, [&] { ++sent; }), on_receive(only, [&](auto) { ++received; }));
      }
    };
    thread one(work);
    thread other(work);
    one.join();
    other.join();
    EXPECT_EQ(sent, static_cast<int>(rounds));
    EXPECT_EQ(received, static_cast<int>(rounds));
  });
}

TYPED_TEST(Select, EveryReadyCaseHasItsTurn) {
  this->in([] {
    std::array<channel<int>, 4> lanes{channel<int>(1), channel<int>(1), channel<int>(1),
                                      channel<int>(1)};
    std::array<int, 4> turns{};
    for (int i = 0; i < 4000; ++i) {
      for (auto& lane : lanes) lane.try_send(0);
      ++turns[select(on_receive(lanes[0], [](auto) {}), on_receive(lanes[1], [](auto) {}),
                     on_receive(lanes[2], [](auto) {}), on_receive(lanes[3], [](auto) {}))];
    }
    // Each 1000 on average, with a deviation of 27.
    for (const int each : turns) EXPECT_GT(each, 700);
  });
}

TYPED_TEST(Select, LimitsEndIt) {
  this->in([] {
    channel<int> never;
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(select(on_receive(never, [](auto) {}), after(1ms, [] {})), 1U);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 1ms);
    EXPECT_EQ(select(after(1ms, [] {})), 0U);
    EXPECT_EQ(select(at(before, [] {}), on_receive(never, [](auto) {})), 0U);
    stop_source source;
    thread asks([&] { source.request_stop(); });
    EXPECT_EQ(select(on_receive(never, [](auto) {}), after(1h, [] {}),
                     on_stop(source.get_token(), [] {})),
              2U);
    asks.join();
    EXPECT_EQ(select(on_stop(source.get_token(), [] {})), 0U);
    // What is there comes first.
    channel<int> full(1);
    full.send(1);
    EXPECT_EQ(select(after(-1s, [] {}), on_stop(source.get_token(), [] {}),
                     on_receive(full, [](auto) {})),
              2U);
  });
}

// However often: a loop around a select with otherwise() must see the end that it was given.
TYPED_TEST(Select, OtherwiseHidesNeitherAStopNorATime) {
  this->in([] {
    channel<int> never;
    stop_source source;
    const auto past = std::chrono::steady_clock::now() - 1h;
    const auto token = source.get_token();
    const auto all = [&](auto when) {
      return select(otherwise([] {}), when, on_receive(never, [](auto) {}), on_stop(token, [] {}));
    };
    EXPECT_EQ(all(after(1ns, [] {})), 0U);  // a span begins to run with a wait only
    EXPECT_EQ(all(after(0s, [] {})), 1U);
    EXPECT_EQ(all(at(past, [] {})), 1U);
    EXPECT_EQ(all(at(past + 2h, [] {})), 0U);
    EXPECT_EQ(select(at(std::chrono::system_clock::now(), [] {}), otherwise([] {})), 0U);
    source.request_stop();
    // The stop before the time, as without an otherwise().
    EXPECT_EQ(all(at(past, [] {})), 3U);
    EXPECT_EQ(all(after(1h, [] {})), 3U);
    EXPECT_EQ(select(at(past, [] {}), on_stop(token, [] {}), on_receive(never, [](auto) {})), 1U);
    // And what is there before both.
    channel<int> full(1);
    full.send(1);
    EXPECT_EQ(select(at(past, [] {}), on_stop(token, [] {}), otherwise([] {}),
                     on_receive(full, [](auto) {})),
              3U);
    pipe_ends pipe;
    const auto with_a_descriptor = [&] {
      return select(otherwise([] {}), on_readable(pipe.ends[0], [] {}), on_stop(token, [] {}));
    };
    EXPECT_EQ(with_a_descriptor(), 2U);
    EXPECT_EQ(io::write(pipe.ends[1], "x", 1), 1);
    EXPECT_EQ(with_a_descriptor(), 1U);
  });
}

template <std::size_t... I>
std::size_t take_one_of(std::array<std::unique_ptr<channel<int>>, sizeof...(I)>& all,
                        std::index_sequence<I...>) {
  return select(otherwise([] {}), on_receive(*all[I], [](std::optional<int>) {})...);
}

TYPED_TEST(Select, AsManyChannelsAsThereMayBe) {
  this->in([] {
    std::array<std::unique_ptr<channel<int>>, sync::raw_select::cases_max> all;
    for (auto& each : all) each = std::make_unique<channel<int>>(1);
    const auto take = [&all] { return take_one_of(all, std::make_index_sequence<all.size()>()); };
    EXPECT_EQ(take(), 0U);
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i]->send(1);
      EXPECT_EQ(take(), 1 + i);
    }
  });
}

TYPED_TEST(Select, ClosedChannelsAreReady) {
  this->in([] {
    for (const std::size_t capacity : {0, 1}) {
      channel<std::unique_ptr<int>> closing(capacity);
      channel<int> quiet(capacity);
      thread closes([&] {
        for (int i = 0; i < 5; ++i) this_thread::yield();
        closing.close();
      });
      bool was_closed = false;
      EXPECT_EQ(select(on_receive(closing, [&](auto value) { was_closed = !value; }),
                       on_receive(quiet, [](auto) {})),
                0U);
      EXPECT_TRUE(was_closed);
      closes.join();
      auto mine = std::make_unique<int>(1);
      bool called = false;
      EXPECT_EQ(select(on_send(closing, std::move(mine), [&] { called = true; })), 0U);
      EXPECT_FALSE(called);
      EXPECT_NE(mine, nullptr);
      channel_status status{};
      select(on_send(closing, std::move(mine), [&](channel_status now) { status = now; }));
      EXPECT_EQ(status, channel_status::closed);
      EXPECT_NE(mine, nullptr);  // NOLINT: given back
    }
  });
}

TYPED_TEST(Select, ExceptionsOfACallbackAreItsOwn) {
  this->in([] {
    channel<int> one(1);
    one.send(1);
    EXPECT_THROW(select(on_receive(one, [](auto) { throw std::runtime_error("mine"); })),
                 std::runtime_error);
    EXPECT_TRUE(one.empty());
  });
}

// Moved from when it was sent only: also when another case cannot be made.
TYPED_TEST(Select, WhatIsNotSentComesBackWhenItThrows) {
  this->in([] {
    struct stubborn {
      explicit stubborn(int n) : value(n) {}
      stubborn(stubborn&& from) noexcept(false) { *this = std::move(from); }
      stubborn& operator=(stubborn&& from) noexcept(false) {
        if (from.stays) throw std::runtime_error("stays");
        value = std::exchange(from.value, 0);
        return *this;
      }
      int value = 0;
      bool stays = false;
    };
    channel<stubborn> full(0);
    for (int i = 0; i < 2; ++i) {
      stubborn one(1);
      stubborn other(2);
      (i == 0 ? one : other).stays = true;
      const auto try_both = [&] {
        return select(on_send(full, std::move(one), [] {}), on_send(full, std::move(other), [] {}),
                      otherwise([] {}));
      };
      EXPECT_THROW(try_both(), std::runtime_error);
      EXPECT_EQ(one.value, 1);
      EXPECT_EQ(other.value, 2);
      one.stays = other.stays = false;
      EXPECT_EQ(try_both(), 2U);
      EXPECT_EQ(one.value, 1);
      EXPECT_EQ(other.value, 2);
    }
  });
}

TYPED_TEST(Select, DescriptorsAndChannelsTogether) {
  this->in([] {
    pipe_ends pipe;
    channel<int> one;
    const auto either = [&] {
      return select(on_receive(one, [](auto) {}), on_readable(pipe.ends[0], [] {}),
                    after(1h, [] {}));
    };
    EXPECT_EQ(select(on_readable(pipe.ends[0], [] {}), otherwise([] {})), 1U);
    EXPECT_EQ(select(on_readable(pipe.ends[0], [] {}), after(1ms, [] {})), 1U);
    EXPECT_EQ(select(on_writable(pipe.ends[1], [] {}), on_receive(one, [](auto) {})), 0U);
    for (std::size_t i = 0; i < scaled(50, true); ++i) {
      thread writes([&] {
        if (i % 2 == 0) {
          EXPECT_EQ(io::write(pipe.ends[1], "x", 1), 1);
        } else {
          EXPECT_EQ(one.send(1), channel_status::done);
        }
      });
      EXPECT_EQ(either(), i % 2 == 0 ? 1U : 0U);
      writes.join();
      char byte = 0;
      if (i % 2 == 0) {
        EXPECT_EQ(io::read(pipe.ends[0], &byte, 1), 1);
      }
    }
    stop_source source;
    thread asks([&] { source.request_stop(); });
    EXPECT_EQ(select(on_readable(pipe.ends[0], [] {}), on_stop(source.get_token(), [] {})), 1U);
    asks.join();
  });
}

TYPED_TEST(Select, ADescriptorThatIsClosedIsReady) {
  this->in([] {
    pipe_ends pipe;
    const int mine = ::dup(pipe.ends[0]);
    thread closes([&] {
      for (int i = 0; i < 5; ++i) this_thread::yield();
      EXPECT_EQ(io::close(mine), 0);
    });
    EXPECT_EQ(select(on_readable(mine, [] {}), after(1h, [] {})), 0U);
    closes.join();
    EXPECT_EQ(select(on_readable(-2, [] {}), after(1ms, [] {})), 1U);
  });
}

TYPED_TEST(Select, ForeignKernelThreads) {
  for (const std::size_t capacity : capacities) {
    channel<int> one(capacity);
    channel<int> other(capacity);
    channel<int> results(8);
    pipe_ends pipe;
    const int count = static_cast<int>(scaled(300, true));
    std::thread foreign([&] {
      int sum = 0;
      for (int open = 2; open > 0;) {
        const auto add = [&](std::optional<int> value) {
          sum += value.value_or(0);
          if (!value) --open;
        };
        if (one.is_closed() && one.empty()) {
          select(on_receive(other, add), on_readable(pipe.ends[0], [] {}));
        } else {
          select(on_receive(one, add), on_readable(pipe.ends[0], [] {}));
        }
      }
      results.send(sum);
    });
    this->in([&] {
      thread sender([&] {
        for (int i = 0; i < count; ++i) one.send(1);
        one.close();
      });
      for (int i = 0; i < count; ++i) {
        select(on_send(other, 1, [] {}), on_receive(results, [](auto) { FAIL(); }));
      }
      other.close();
      sender.join();
    });
    EXPECT_EQ(*results.receive(), 2 * count);
    foreign.join();
  }
}

}  // namespace
}  // namespace treadle
