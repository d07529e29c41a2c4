// Terminals, FIFOs and inotify, of which a rival may take what poll(2) has promised: limits, a stop
// and a close end reads all the same, and other threads run meanwhile, under every model. readv()
// is replaced by one that a rival overtakes when it is told to.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include <array>
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
#include "tests/support/temporary_folder.hpp"
#include "tests/support/terminal.hpp"

namespace {

std::atomic<int> overtaken{-1};  // what the next read of it finds empty

}  // namespace

extern "C" ssize_t readv(int number, const iovec* parts, int count) {
  if (overtaken == number) {
    std::array<char, 4096> some;
    EXPECT_GT(::syscall(SYS_read, number, some.data(), some.size()), 0);
    overtaken = -1;  // only now: what is told next is not the rival's
  }
  return ::syscall(SYS_readv, number, parts, count);
}

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::scaled;
using testing_support::temporary_folder;
using testing_support::terminal;

template <class Configuration>
class reluctant_sources : public testing_support::in_model<Configuration> {};
TYPED_TEST_SUITE(reluctant_sources, testing_support::every_model, testing_support::model_names);

// A terminal whose reads want five bytes, or nothing for 25 s after the first; poll(2) is content
// with one.
struct slow_terminal : terminal {
  slow_terminal() {
    termios how{};
    ::tcgetattr(slave, &how);
    how.c_cc[VMIN] = 5;
    how.c_cc[VTIME] = 255;
    ::tcsetattr(slave, TCSANOW, &how);
  }
};

struct fifo_ends {
  explicit fifo_ends(int flags = 0) {
    const auto name = folder.path / "fifo";
    EXPECT_EQ(::mkfifo(name.c_str(), 0600), 0);
    both = io::open(name.c_str(), O_RDWR | O_CLOEXEC);
    source = io::open(name.c_str(), O_RDONLY | O_CLOEXEC | flags);
  }
  ~fifo_ends() {
    io::close(source);
    if (both >= 0) io::close(both);
  }
  fifo_ends(const fifo_ends&) = delete;
  fifo_ends& operator=(const fifo_ends&) = delete;

  temporary_folder folder;
  int both = -1;  // also the writer
  int source = -1;
};

TYPED_TEST(reluctant_sources, others_run_while_a_terminal_wants_more) {
  this->in([] {
    const slow_terminal one;
    EXPECT_EQ(io::write(one.master, "a", 1), 1);
    std::string some(8, '\0');
    std::atomic<bool> done{false};
    thread reader([&] {
      EXPECT_EQ(io::read(one.slave, some.data(), some.size()), 5);
      done = true;
    });
    for (int i = 0; i < 50; ++i) this_thread::yield();
    EXPECT_FALSE(done.load());
    EXPECT_EQ(io::write(one.master, "bcde", 4), 4);
    reader.join();
    EXPECT_EQ(some.substr(0, 5), "abcde");
  });
}

TYPED_TEST(reluctant_sources, a_limit_gives_what_has_come) {
  this->in([] {
    const slow_terminal one;
    std::string some(8, '\0');
    for (const auto span : {20ms, 0ms}) {
      EXPECT_EQ(io::read(one.slave, some.data(), some.size(), span), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(io::write(one.master, "x", 1), 1);
      ASSERT_EQ(io::wait_readable(one.slave), 0);
      EXPECT_EQ(io::read(one.slave, some.data(), some.size(), span), 1);
      EXPECT_EQ(some[0], 'x');
    }
  });
}

TYPED_TEST(reluctant_sources, stops_and_closes_end_reads) {
  this->in([] {
    terminal one;
    const int source = one.slave;
    std::stop_source stopper;
    thread stopped([&, stop = stopper.get_token()] {
      char byte;
      EXPECT_EQ(io::read(source, &byte, 1, stop), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
    });
    thread left([&] {
      char byte;
      EXPECT_EQ(io::read(source, &byte, 1), -1);
      EXPECT_EQ(io::own_errno(), EBADF);
    });
    for (int i = 0; i < 100; ++i) this_thread::yield();
    stopper.request_stop();
    stopped.join();
    terminal::drop(one.slave);
    left.join();
  });
}

// `tell` gives `source` something to read. Who is overtaken comes back at its limit; and others run
// while it waits for what comes next.
template <class Tell>
void overtake(int source, Tell tell) {
  std::array<char, 4096> some;
  for (const auto span : {20ms, 0ms}) {
    tell();
    ASSERT_EQ(io::wait_readable(source), 0);
    overtaken = source;
    EXPECT_EQ(io::read(source, some.data(), some.size(), span), -1);
    EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    EXPECT_EQ(overtaken.load(), -1);
  }
  tell();
  ASSERT_EQ(io::wait_readable(source), 0);
  overtaken = source;
  thread reader([&] { EXPECT_GT(io::read(source, some.data(), some.size()), 0); });
  testing_support::eventually([] { return overtaken == -1; });
  tell();
  reader.join();
}

// Several want each of many things. They all end, so that nobody has waited beyond its limit.
template <class Tell>
void contend(int source, Tell tell) {
  std::atomic<bool> ends{false};
  std::atomic<int> got{0};
  std::vector<thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&, source] {
      std::array<char, 512> some;
      while (!ends) {
        if (io::read(source, some.data(), some.size(), 1ms) > 0) ++got;
      }
    });
  }
  const std::size_t rounds = scaled(500);
  for (std::size_t i = 0; i < rounds; ++i) {
    tell();
    if (i % 4 == 0) this_thread::yield();
    if (i % 32 == 0) this_thread::sleep_for(1ms);
  }
  ends = true;
  for (thread& one : readers) one.join();
  EXPECT_GT(got.load(), 0);
}

TYPED_TEST(reluctant_sources, rivals_at_a_terminal_keep_their_limits) {
  this->in([] {
    const terminal one;
    const auto tell = [&] { EXPECT_EQ(io::write(one.master, "a", 1), 1); };
    overtake(one.slave, tell);
    contend(one.slave, tell);
  });
}

TYPED_TEST(reluctant_sources, rivals_at_a_fifo_keep_their_limits) {
  this->in([] {
    const fifo_ends ends;
    const int both = ends.both;
    const int source = ends.source;
    const auto tell = [&] { EXPECT_EQ(::write(both, "a", 1), 1); };
    overtake(both, tell);
    contend(both, tell);
    contend(source, tell);  // read in another way
  });
}

TYPED_TEST(reluctant_sources, rivals_at_an_inotify_descriptor_keep_their_limits) {
  this->in([] {
    const temporary_folder folder;
    const auto name = folder.path / "name";
    const int source = ::inotify_init1(IN_CLOEXEC);
    ASSERT_GE(::inotify_add_watch(source, folder.path.c_str(), IN_CREATE | IN_DELETE), 0);
    bool exists = false;
    const auto tell = [&] {
      exists = !exists;
      EXPECT_EQ(exists ? ::mkdir(name.c_str(), 0700) : ::rmdir(name.c_str()), 0);
    };
    overtake(source, tell);
    contend(source, tell);
    io::close(source);
  });
}

TYPED_TEST(reluctant_sources, tasks_keep_their_limits_too) {
  this->in([] {
    const slow_terminal one;
    std::string some(8, '\0');
    const auto reads = [&](wait_limit limit) -> task<ssize_t> {
      co_return co_await co::read(one.slave, some.data(), some.size(), std::move(limit));
    };
    EXPECT_EQ(block_on(reads(3ms)), -ETIMEDOUT);
    EXPECT_EQ(io::write(one.master, "a", 1), 1);
    ASSERT_EQ(io::wait_readable(one.slave), 0);
    EXPECT_EQ(block_on(reads(3ms)), 1);
    auto late = spawn(reads({}));
    EXPECT_EQ(io::write(one.master, "b", 1), 1);
    for (int i = 0; i < 50; ++i) this_thread::yield();
    EXPECT_EQ(io::write(one.master, "cdef", 4), 4);
    EXPECT_EQ(late.join(), 5);
    EXPECT_EQ(some.substr(0, 5), "bcdef");
  });
}

// In one part and in several, more than there is and less.
TYPED_TEST(reluctant_sources, a_fifo_gives_what_is_there_in_order) {
  this->in([] {
    const fifo_ends ends;
    const int both = ends.both;
    const int source = ends.source;
    std::string some(20, '-');
    thread reader([&] { EXPECT_EQ(io::read(source, some.data(), 4), 4); });
    this_thread::yield();
    EXPECT_EQ(::write(both, "abcdefghij", 10), 10);
    reader.join();
    EXPECT_EQ(some.substr(0, 5), "abcd-");
    std::array<iovec, 3> parts{
        iovec{some.data() + 4, 1}, {some.data() + 5, 0}, {some.data() + 5, 10}};
    EXPECT_EQ(io::readv(source, parts.data(), 3), 6);
    EXPECT_EQ(some, "abcdefghij----------");
    EXPECT_EQ(::write(both, "kl", 2), 2);
    EXPECT_EQ(io::read(source, some.data(), 0), 0);
    const auto reads = [&]() -> task<ssize_t> {
      co_return co_await co::read(source, some.data() + 10, 10);
    };
    EXPECT_EQ(block_on(reads()), 2);
    EXPECT_EQ(some, "abcdefghijkl--------");
    EXPECT_EQ(io::read(source, reinterpret_cast<void*>(8), 1, 1ms), -1);
    EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    EXPECT_EQ(::write(both, "m", 1), 1);
    EXPECT_EQ(io::read(source, reinterpret_cast<void*>(8), 1), -1);
    EXPECT_EQ(io::own_errno(), EFAULT);
  });
}

// The kernel's end of file, and what has O_NONBLOCK.
TYPED_TEST(reluctant_sources, ends_are_read) {
  this->in([] {
    for (const int flags : {0, O_NONBLOCK}) {
      fifo_ends ends(flags);
      char some[4] = {};
      EXPECT_EQ(io::read(ends.source, some, sizeof(some), 1ms), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(io::write(ends.both, "ab", 2), 2);
      EXPECT_EQ(io::read(ends.source, some, sizeof(some)), 2);
      io::close(std::exchange(ends.both, -1));
      EXPECT_EQ(io::read(ends.source, some, sizeof(some)), 0);
    }
  });
}

}  // namespace
}  // namespace treadle
