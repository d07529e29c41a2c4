// Opens that wait for the other end of a FIFO, where the blocking-call pool makes calls on files
// and has two kernel threads: they keep to their limits and keep nobody else from files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <stop_token>
#include <string>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/small_pool.hpp"
#include "tests/support/temporary_folder.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::temporary_folder;
using testing_support::with_small_pool;

constexpr int pool_threads = testing_support::small_pool_threads;

template <class Configuration>
class open_waits : public testing_support::in_model<with_small_pool<Configuration>> {};
TYPED_TEST_SUITE(open_waits, testing_support::every_model, testing_support::model_names);

struct fifo {
  fifo() : name(folder.path / "fifo") { EXPECT_EQ(::mkfifo(name.c_str(), 0600), 0); }
  int open(int flags, const wait_limit& limit = {}) const {
    return io::open(name.c_str(), flags | O_CLOEXEC, 0, limit);
  }
  temporary_folder folder;
  std::string name;
};

// Of the pool.
void expect_files_open() {
  const int file = io::open("/proc/self/stat", O_RDONLY | O_CLOEXEC, 0, 1h);
  EXPECT_GE(file, 0);
  io::close(file);
}

TYPED_TEST(open_waits, limits_leave_nothing_behind) {
  this->in([] {
    const fifo one;
    for (int i = 0; i < 3 * pool_threads; ++i) {
      const int flags = i % 2 == 0 ? O_RDONLY : O_WRONLY;
      EXPECT_EQ(one.open(flags, 3ms), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      expect_files_open();
    }
    // Nobody is there who would have been let in.
    EXPECT_EQ(one.open(O_WRONLY | O_NONBLOCK, 1h), -1);
    EXPECT_EQ(io::own_errno(), ENXIO);
    eventually([] { return io::blocking_counters().busy == 0; });
  });
}

TYPED_TEST(open_waits, a_stop_ends_them) {
  this->in([] {
    const fifo one;
    std::stop_source source;
    std::vector<thread> waiting;
    for (int i = 0; i < 2 * pool_threads; ++i) {
      waiting.emplace_back([&, stop = source.get_token()] {
        EXPECT_EQ(one.open(O_RDONLY, stop), -1);
        EXPECT_EQ(io::own_errno(), ECANCELED);
      });
    }
    for (int i = 0; i < 50; ++i) this_thread::yield();
    expect_files_open();
    source.request_stop();
    for (thread& each : waiting) each.join();
  });
}

TYPED_TEST(open_waits, more_readers_than_the_pool_has_threads_meet_their_writer) {
  this->in([] {
    for (const bool limited : {false, true}) {
      const fifo one;
      std::atomic<int> met{0};
      std::vector<thread> readers;
      for (int i = 0; i < 3 * pool_threads; ++i) {
        readers.emplace_back([&] {
          const int source = one.open(O_RDONLY, limited ? wait_limit(1h) : wait_limit());
          char byte = 0;
          EXPECT_EQ(io::read(source, &byte, 1), 1);
          EXPECT_EQ(byte, 'x');
          ++met;
          io::close(source);
        });
      }
      for (int i = 0; i < 50; ++i) this_thread::yield();
      expect_files_open();
      EXPECT_EQ(met.load(), 0);
      const int sink = one.open(O_WRONLY);
      const std::string text(readers.size(), 'x');
      EXPECT_EQ(io::write(sink, text.data(), text.size()), static_cast<ssize_t>(text.size()));
      for (thread& each : readers) each.join();
      io::close(sink);
    }
  });
}

TYPED_TEST(open_waits, errors_are_the_calls_own) {
  this->in([] {
    const fifo one;
    for (const wait_limit& limit : {wait_limit(), wait_limit(1h)}) {
      EXPECT_EQ(one.open(O_RDONLY | O_DIRECTORY, limit), -1);
      EXPECT_EQ(io::own_errno(), ENOTDIR);
      EXPECT_EQ(io::open((one.name + "x").c_str(), O_RDONLY, 0, limit), -1);
      EXPECT_EQ(io::own_errno(), ENOENT);
      const int both = one.open(O_RDWR, limit);
      EXPECT_GE(both, 0);
      io::close(both);
      // A success leaves errno alone, though the look at the name found nothing.
      io::own_errno() = 0;
      const std::string fresh = one.name + (limit.until().is_never() ? "1" : "2");
      const int made = io::open(fresh.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600, limit);
      EXPECT_EQ(io::own_errno(), 0);
      EXPECT_GE(made, 0);
      io::close(made);
    }
  });
}

}  // namespace
}  // namespace treadle
