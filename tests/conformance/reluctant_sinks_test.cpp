// Terminals and eventfds, which poll(2) promises room for something of: limits, a stop and a close
// end writes that do not fit, and other threads run meanwhile, under every model.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <stop_token>
#include <string>
#include <treadle/co.hpp>
#include <treadle/io.hpp>
#include <treadle/task.hpp>
#include <treadle/thread.hpp>
#include <utility>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/terminal.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::scaled;
using testing_support::terminal;

// More than any terminal holds.
constexpr std::size_t flood_bytes = std::size_t{1} << 20;

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

// So many bytes, and what comes right after them, which should be nothing.
std::string drain(int descriptor, std::size_t bytes) {
  std::string all;
  std::string some(1 << 16, '\0');
  for (;;) {
    const wait_limit limit = all.size() < bytes ? wait_limit() : wait_limit(20ms);
    const ssize_t got = io::read(descriptor, some.data(), some.size(), limit);
    if (got <= 0) return all;
    all.append(some, 0, static_cast<std::size_t>(got));
  }
}

template <class Configuration>
class reluctant_sinks : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(reluctant_sinks, testing_support::every_model, testing_support::model_names);

// Writes with `write(from, bytes)` until nothing fits, and gives the last result. Not once: the
// kernel makes room behind our back, when it hands on what it has.
template <class Write>
ssize_t fill(const std::string& text, std::size_t& written, Write write) {
  for (;;) {
    const ssize_t some = write(text.data() + written, text.size() - written);
    if (some <= 0) return some;
    written += static_cast<std::size_t>(some);
    if (written == text.size()) return 0;
  }
}

TYPED_TEST(reluctant_sinks, a_terminal_takes_what_it_has_room_for) {
  this->in([] {
    for (const bool from_master : {false, true}) {
      const terminal one;
      const int sink = from_master ? one.master : one.slave;
      const int source = from_master ? one.slave : one.master;
      const std::string text = pattern(flood_bytes);
      EXPECT_EQ(io::write(sink, "", 0, 1h), 0);
      std::size_t written = 0;
      for (const auto span : {20ms, 0ms}) {
        const auto write_some = [&](const char* from, std::size_t bytes) {
          return io::write(sink, from, bytes, span);
        };
        ASSERT_EQ(fill(text, written, write_some), -1);
        EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      }
      ASSERT_GT(written, 0u);
      // Nothing comes later, and nothing twice.
      EXPECT_TRUE(drain(source, written) == text.substr(0, written));
      EXPECT_EQ(io::write(sink, "once more", 9, 1h), 9);
      EXPECT_EQ(drain(source, 9), "once more");
    }
  });
}

TYPED_TEST(reluctant_sinks, a_limit_in_the_past_writes_what_fits) {
  this->in([] {
    const terminal one;
    EXPECT_EQ(io::write(one.slave, "ready", 5, 0ms), 5);
    EXPECT_EQ(drain(one.master, 5), "ready");
  });
}

TYPED_TEST(reluctant_sinks, a_reader_among_our_threads_gets_all) {
  this->in([] {
    const terminal one(true);  // each line's end becomes two bytes
    std::string text;
    while (text.size() < flood_bytes / 4) text += "a line\n";
    std::size_t wanted = text.size() + text.size() / 7;
    thread reader([&] {
      std::string some(1 << 16, '\0');
      while (wanted != 0) {
        const ssize_t got = io::read(one.master, some.data(), some.size());
        ASSERT_GT(got, 0);
        wanted -= static_cast<std::size_t>(got);
      }
    });
    EXPECT_EQ(io::write(one.slave, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    reader.join();
    EXPECT_EQ(wanted, 0u);
  });
}

TYPED_TEST(reluctant_sinks, stops_and_closes_end_writes) {
  this->in([] {
    terminal one;
    const int sink = one.slave;
    const std::string text = pattern(flood_bytes);
    std::stop_source source;
    std::atomic<int> ended{0};
    std::vector<thread> writers;
    for (const bool stopped : {true, false}) {
      writers.emplace_back([&, stopped, stop = source.get_token()] {
        // The first takes the room, the others none.
        const ssize_t written = stopped ? io::write(sink, text.data(), text.size(), stop)
                                        : io::write(sink, text.data(), text.size());
        if (written < 0) {
          EXPECT_EQ(io::own_errno(), stopped ? ECANCELED : EBADF);
        } else {
          EXPECT_LT(written, static_cast<ssize_t>(text.size()));
        }
        ++ended;
      });
    }
    for (int i = 0; i < 100; ++i) this_thread::yield();
    EXPECT_EQ(ended.load(), 0);
    source.request_stop();
    writers[0].join();
    EXPECT_EQ(ended.load(), 1);
    terminal::drop(one.slave);
    writers[1].join();
  });
}

// Value and room of an eventfd: it holds up to 2^64 - 2.
constexpr std::uint64_t full = ~std::uint64_t{0} - 1;

ssize_t add(int counter, std::uint64_t value, const wait_limit& limit = {}) {
  return io::write(counter, &value, sizeof(value), limit);
}

std::uint64_t take(int counter) {
  std::uint64_t value = 0;
  EXPECT_EQ(io::read(counter, &value, sizeof(value)), 8);
  return value;
}

TYPED_TEST(reluctant_sinks, an_eventfd_takes_a_number_that_fits) {
  this->in([] {
    for (const int flags : {0, int{EFD_NONBLOCK}}) {
      const int counter = ::eventfd(0, EFD_CLOEXEC | flags);
      EXPECT_EQ(add(counter, 1), 8);
      EXPECT_EQ(add(counter, 4, 0ms), 8);
      EXPECT_EQ(take(counter), 5u);
      EXPECT_EQ(add(counter, full - 2), 8);
      EXPECT_EQ(add(counter, 5, 3ms), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(add(counter, 5, 0ms), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(add(counter, ~std::uint64_t{0}), -1);
      EXPECT_EQ(io::own_errno(), EINVAL);
      std::atomic<bool> done{false};
      thread writer([&] {
        EXPECT_EQ(add(counter, 5), 8);
        done = true;
      });
      for (int i = 0; i < 50; ++i) this_thread::yield();
      EXPECT_FALSE(done.load());
      EXPECT_EQ(take(counter), full - 2);
      writer.join();
      EXPECT_EQ(take(counter), 5u);
      EXPECT_EQ(add(counter, full), 8);
      EXPECT_EQ(add(counter, 1, 3ms), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      io::close(counter);
    }
  });
}

TYPED_TEST(reluctant_sinks, tasks_wait_for_room_too) {
  this->in([] {
    const terminal one;
    const int counter = ::eventfd(0, EFD_CLOEXEC);
    const auto adds = [](int to, std::uint64_t value, wait_limit limit) -> task<ssize_t> {
      co_return co_await co::write(to, &value, sizeof(value), std::move(limit));
    };
    const auto floods = [](int to, const std::string& text, wait_limit limit) -> task<ssize_t> {
      co_return co_await co::write(to, text.data(), text.size(), std::move(limit));
    };
    EXPECT_EQ(block_on(adds(counter, full - 2, {})), 8);
    EXPECT_EQ(block_on(adds(counter, 5, 3ms)), -ETIMEDOUT);
    auto late = spawn(adds(counter, 5, {}));
    const std::string text = pattern(flood_bytes);
    std::size_t written = 0;
    const auto write_some = [&](const char* from, std::size_t bytes) {
      return block_on(floods(one.slave, std::string(from, bytes), 3ms));
    };
    EXPECT_EQ(fill(text, written, write_some), -ETIMEDOUT);
    EXPECT_GT(written, 0u);
    // There is room for 1, although another task waits for more.
    EXPECT_EQ(block_on(adds(counter, 1, {})), 8);
    EXPECT_EQ(take(counter), full - 1);
    EXPECT_EQ(late.join(), 8);
    EXPECT_EQ(take(counter), 5u);
    EXPECT_TRUE(drain(one.master, written) == text.substr(0, written));
    io::close(counter);
  });
}

// As many may add something at once as there is room for; the others wait within their limits.
TYPED_TEST(reluctant_sinks, rivals_at_a_full_eventfd_keep_their_limits) {
  this->in([] {
    for (const std::uint64_t value : {1, 2}) {
      const int counter = ::eventfd(0, EFD_CLOEXEC);
      EXPECT_EQ(add(counter, full - 4 * value), 8);
      std::atomic<int> added{0};
      std::vector<thread> rivals;
      for (int i = 0; i < 12; ++i) {
        rivals.emplace_back([&] {
          if (add(counter, value, 20ms) == 8) {
            ++added;
          } else {
            EXPECT_EQ(io::own_errno(), ETIMEDOUT);
          }
        });
      }
      for (thread& one : rivals) one.join();
      EXPECT_EQ(added.load(), 4);
      io::close(counter);
    }
  });
}

// A reader that was overtaken by a rival still comes back: also after the eventfd was written to.
TYPED_TEST(reluctant_sinks, rivals_at_an_empty_eventfd_keep_their_limits) {
  this->in([] {
    const int counter = ::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    EXPECT_EQ(add(counter, 1), 8);
    EXPECT_EQ(take(counter), 1u);
    std::atomic<bool> ends{false};
    std::vector<thread> readers;
    for (int i = 0; i < 4; ++i) {
      readers.emplace_back([&] {
        std::uint64_t value = 0;
        while (!ends) static_cast<void>(io::read(counter, &value, sizeof(value), 1ms));
      });
    }
    const std::size_t rounds = scaled(5000);
    for (std::size_t i = 0; i < rounds; ++i) {
      EXPECT_EQ(add(counter, 1), 8);
      if (i % 16 == 0) this_thread::yield();
    }
    ends = true;
    for (thread& one : readers) one.join();
    io::close(counter);
  });
}

TYPED_TEST(reluctant_sinks, devices_are_written_to_and_read) {
  this->in([] {
    char some[16] = {};
    const int nothing = io::open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(io::write(nothing, some, sizeof(some)), 16);
    EXPECT_EQ(io::read(nothing, some, sizeof(some)), 0);
    EXPECT_EQ(io::close(nothing), 0);
    const int full_disk = io::open("/dev/full", O_RDWR | O_CLOEXEC);
    EXPECT_EQ(io::write(full_disk, some, sizeof(some)), -1);
    EXPECT_EQ(io::own_errno(), ENOSPC);
    EXPECT_EQ(io::read(full_disk, some, sizeof(some)), 16);
    EXPECT_EQ(io::close(full_disk), 0);
  });
}

}  // namespace
}  // namespace treadle
