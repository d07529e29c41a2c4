// The file calls in every model: results as POSIX, limits, and others running meanwhile.
#include <treadle/io.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stop_token>
#include <string>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

// A name of its own, gone at the end.
class scratch_file {
 public:
  scratch_file() {
    const int made = ::mkstemp(name_.data());
    EXPECT_GE(made, 0);
    ::close(made);
  }
  ~scratch_file() { ::unlink(name_.c_str()); }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  const char* name() const { return name_.c_str(); }

 private:
  std::string name_ = "/tmp/treadle-files-XXXXXX";
};

template <class Model>
class Files : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Files, every_model, model_names);

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

// Out of the page cache, so that RWF_NOWAIT has nothing to give.
void drop_cache(int fd) {
  ::fdatasync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

TYPED_TEST(Files, WhatIsWrittenIsRead) {
  this->in([] {
    const scratch_file file;
    const int fd = io::open(file.name(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    const std::string text = pattern(300'000);
    ASSERT_EQ(io::pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(io::fdatasync(fd), 0);
    EXPECT_EQ(io::fsync(fd), 0);
    for (const bool cached : {true, false}) {
      if (!cached) drop_cache(fd);
      std::string got(text.size() + 10, '?');
      // To the end and no further, although more is asked for.
      ASSERT_EQ(io::pread(fd, got.data(), got.size(), 0), static_cast<ssize_t>(text.size()));
      got.resize(text.size());
      EXPECT_EQ(got, text);
      EXPECT_EQ(io::pread(fd, got.data(), 10, static_cast<off_t>(text.size())), 0);
      EXPECT_EQ(io::pread(fd, got.data(), 10, 1'000'000), 0);
    }
    EXPECT_EQ(io::close(fd), 0);
  });
}

TYPED_TEST(Files, VectorsAndHalfCachedFiles) {
  this->in([] {
    const scratch_file file;
    const int fd = io::open(file.name(), O_RDWR | O_CLOEXEC);
    const std::string text = pattern(64 * 4096);
    std::string head = text.substr(0, 5000);
    std::string tail = text.substr(5000);
    const std::array<iovec, 2> out{iovec{head.data(), head.size()}, {tail.data(), tail.size()}};
    ASSERT_EQ(io::pwritev(fd, out.data(), 2, 0), static_cast<ssize_t>(text.size()));
    drop_cache(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    char byte = 0;
    ASSERT_EQ(::pread(fd, &byte, 1, 0), 1);  // the first page only
    std::string a(3000, '?');
    std::string b(100'000, '?');
    std::string c(text.size() - a.size() - b.size(), '?');
    const std::array<iovec, 3> in{
        iovec{a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
    ASSERT_EQ(io::preadv(fd, in.data(), 3, 0), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(a + b + c, text);
    // At the file's own position, which moves.
    drop_cache(fd);
    ASSERT_EQ(::lseek(fd, 4096, SEEK_SET), 4096);
    iovec rest{c.data(), 10'000};
    ASSERT_EQ(io::detail::blocking_read(fd, &rest, 1, -1, {}), 10'000);
    EXPECT_EQ(c.substr(0, 10'000), text.substr(4096, 10'000));
    EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 14'096);
    EXPECT_EQ(io::close(fd), 0);
  });
}

TYPED_TEST(Files, ReadAndWriteMoveTheFilesPosition) {
  this->in([] {
    const scratch_file file;
    const int fd = io::open(file.name(), O_RDWR | O_CLOEXEC);
    const std::string text = pattern(50'000);
    ASSERT_EQ(io::write(fd, text.data(), 20'000), 20'000);
    iovec rest{const_cast<char*>(text.data()) + 20'000, 30'000};
    ASSERT_EQ(io::writev(fd, &rest, 1, 1h), 30'000);
    drop_cache(fd);
    ASSERT_EQ(::lseek(fd, 10, SEEK_SET), 10);
    std::string got(60'000, '?');
    ASSERT_EQ(io::read(fd, got.data(), 100), 100);
    ASSERT_EQ(io::read(fd, got.data() + 100, got.size() - 100), 49'890);
    got.resize(49'990);
    EXPECT_EQ(got, text.substr(10));
    EXPECT_EQ(io::read(fd, got.data(), 1), 0);
    EXPECT_EQ(io::close(fd), 0);
  });
}

TYPED_TEST(Files, ErrorsArePosixs) {
  this->in([] {
    char byte = 0;
    const auto expect = [](long result, int error) {
      EXPECT_EQ(result, -1);
      EXPECT_EQ(io::own_errno(), error);
      io::own_errno() = 0;
    };
    expect(io::pread(-1, &byte, 1, 0), EBADF);
    expect(io::pwrite(-1, &byte, 1, 0), EBADF);
    expect(io::fsync(-1), EBADF);
    expect(io::fdatasync(-1), EBADF);
    expect(io::close(-1), EBADF);
    expect(io::open("/no/such/file", O_RDONLY), ENOENT);
    expect(io::pread(0, &byte, 1, -1), EINVAL);
    expect(io::waitpid(::getpid(), nullptr, 0), ECHILD);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    expect(io::pread(ends[0], &byte, 1, 0), ESPIPE);
    expect(io::fsync(ends[0]), EINVAL);
    ::close(ends[0]);
    ::close(ends[1]);
    const int full = io::open("/dev/full", O_WRONLY | O_CLOEXEC);
    ASSERT_GE(full, 0);
    expect(io::pwrite(full, &byte, 1, 0), ENOSPC);
    expect(io::pwrite(full, &byte, 1, 0, 1h), ENOSPC);
    const iovec part{&byte, 1};
    expect(io::detail::blocking_write(full, &part, 1, -1, {}), ENOSPC);
    EXPECT_EQ(io::close(full), 0);
    // All is well: errno stays as it was.
    io::own_errno() = 99;
    const int zero = io::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(io::pread(zero, &byte, 1, 0), 1);
    EXPECT_EQ(io::close(zero), 0);
    EXPECT_EQ(io::own_errno(), 99);
  });
}

TYPED_TEST(Files, DeadlinesThatHavePassedOnlyLook) {
  this->in([] {
    const scratch_file file;
    const int fd = io::open(file.name(), O_RDWR | O_CLOEXEC);
    ASSERT_EQ(io::pwrite(fd, "hello", 5, 0), 5);
    char buffer[5] = {};
    EXPECT_EQ(io::pread(fd, buffer, 5, 0, 0s), 5);  // cached
    EXPECT_EQ(std::string_view(buffer, 5), "hello");
    for (const wait_limit& limit :
         {wait_limit(0s), wait_limit(-1s), wait_limit(std::chrono::steady_clock::time_point{})}) {
      io::own_errno() = 0;
      EXPECT_EQ(io::fsync(fd, limit), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(io::pwrite(fd, "X", 1, 0, limit), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(io::open(file.name(), O_RDONLY, 0, limit), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      addrinfo* found = nullptr;
      EXPECT_EQ(io::getaddrinfo("localhost", nullptr, nullptr, &found, limit), EAI_SYSTEM);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    }
    ASSERT_EQ(::pread(fd, buffer, 5, 0), 5);
    EXPECT_EQ(std::string_view(buffer, 5), "hello");
    EXPECT_EQ(io::close(fd), 0);
  });
}

TYPED_TEST(Files, LimitsThatAreFarAwayChangeNothing) {
  this->in([] {
    const scratch_file file;
    std::stop_source never;
    const wait_limit limit(1h, never.get_token());
    const int fd = io::open(file.name(), O_RDWR | O_CLOEXEC, 0, limit);
    ASSERT_GE(fd, 0);
    const std::string text = pattern(3'000'000);  // more than what is copied at a time
    ASSERT_EQ(io::pwrite(fd, text.data(), text.size(), 0, limit),
              static_cast<ssize_t>(text.size()));
    EXPECT_EQ(io::fsync(fd, limit), 0);
    drop_cache(fd);
    std::string got(text.size() + 5, '?');
    ASSERT_EQ(io::pread(fd, got.data(), got.size(), 0, limit), static_cast<ssize_t>(text.size()));
    got.resize(text.size());
    EXPECT_EQ(got, text);
    EXPECT_EQ(io::fdatasync(fd, wait_limit(std::chrono::hours::max())), 0);
    EXPECT_EQ(io::close(fd), 0);
  });
}

TYPED_TEST(Files, AStopThatWasAskedForBeforeEndsTheCallAtOnce) {
  this->in([] {
    std::stop_source source;
    source.request_stop();
    const wait_limit limit(source.get_token());
    char byte = 0;
    const int fd = io::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const auto expect_cancelled = [](long result) {
      EXPECT_EQ(result, -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
      io::own_errno() = 0;
    };
    expect_cancelled(io::pread(fd, &byte, 1, 0, limit));
    expect_cancelled(io::pwrite(fd, &byte, 1, 0, limit));
    expect_cancelled(io::fsync(fd, limit));
    expect_cancelled(io::open("/", O_RDONLY, 0, limit));
    expect_cancelled(io::waitpid(-1, nullptr, 0, limit));
    addrinfo* found = nullptr;
    EXPECT_EQ(io::getaddrinfo("localhost", nullptr, nullptr, &found, limit), EAI_SYSTEM);
    EXPECT_EQ(io::own_errno(), ECANCELED);
    EXPECT_EQ(io::close(fd), 0);
  });
}

// A named pipe blocks whoever opens or reads it, as a disk that does not answer would.
class fifo {
 public:
  fifo() {
    ::unlink(name_.name());
    EXPECT_EQ(::mkfifo(name_.name(), 0600), 0);
    both_ = ::open(name_.name(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(both_, 0);
  }
  // Also frees whoever still reads.
  ~fifo() {
    EXPECT_EQ(::write(both_, "rest", 4), 4);
    ::close(both_);
  }
  fifo(const fifo&) = delete;
  fifo& operator=(const fifo&) = delete;
  int descriptor() const { return both_; }
  const char* name() const { return name_.name(); }

 private:
  scratch_file name_;
  int both_ = -1;
};

TYPED_TEST(Files, AReadThatWaitsEndsAtItsDeadline) {
  const fifo pipe;
  this->in([&] {
    char byte = 0;
    const iovec part{&byte, 1};
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(io::detail::blocking_read(pipe.descriptor(), &part, 1, -1, 5ms), -1);
    EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
  });
}

TYPED_TEST(Files, AReadThatWaitsEndsWithItsStop) {
  const fifo pipe;
  this->in([&] {
    for (int i = 0; i < 3; ++i) {
      std::stop_source source;
      thread reader([&, stop = source.get_token()] {
        char byte = 0;
        const iovec part{&byte, 1};
        EXPECT_EQ(io::detail::blocking_read(pipe.descriptor(), &part, 1, -1, stop), -1);
        EXPECT_EQ(io::own_errno(), ECANCELED);
      });
      for (int k = 0; k < i * 20; ++k) this_thread::yield();
      source.request_stop();
      reader.join();
    }
  });
}

TYPED_TEST(Files, AReadThatWaitsLetsOthersRun) {
  const fifo pipe;
  this->in([&] {
    constexpr int wanted = 1000;
    std::atomic<int> ticks{0};
    thread ticker([&] {
      while (ticks < wanted) {
        ticks.fetch_add(1);
        this_thread::yield();
      }
      EXPECT_EQ(::write(pipe.descriptor(), "x", 1), 1);
    });
    char byte = 0;
    const iovec part{&byte, 1};
    EXPECT_EQ(io::detail::blocking_read(pipe.descriptor(), &part, 1, -1, {}), 1);
    EXPECT_EQ(byte, 'x');
    EXPECT_EQ(ticks, wanted);
    ticker.join();
  });
}

// Deadlines at every distance from the data's arrival: a byte is got or it is not, and the buffer
// is left alone afterwards.
TYPED_TEST(Files, OfDataAndDeadlineExactlyOneWins) {
  this->in([this] {
    const std::size_t rounds = scaled(300);
    for (std::size_t i = 0; i < rounds; ++i) {
      std::array<int, 2> ends{};
      ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
      thread writer([&] {
        for (std::size_t k = 0; k < i % 5; ++k) this_thread::yield();
        EXPECT_EQ(::write(ends[1], "x", 1), 1);
      });
      char byte = '?';
      const iovec part{&byte, 1};
      const ssize_t got =
          io::detail::blocking_read(ends[0], &part, 1, -1, std::chrono::microseconds(i * 3 % 200));
      const char then = byte;
      if (got == 1) {
        EXPECT_EQ(then, 'x');
      } else {
        EXPECT_EQ(got, -1);
        EXPECT_EQ(io::own_errno(), ETIMEDOUT);
        EXPECT_EQ(then, '?');
      }
      writer.join();
      for (int k = 0; k < 5; ++k) this_thread::yield();
      EXPECT_EQ(byte, then);
      ::close(ends[1]);
      ::close(ends[0]);
    }
  });
}

// A call that was given up must not meet the file that gets its descriptor's number next.
TYPED_TEST(Files, ALateCallLeavesTheNextFileAlone) {
  this->in([this] {
    const std::size_t rounds = scaled(300);
    for (std::size_t i = 0; i < rounds; ++i) {
      std::array<int, 2> ends{};
      ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
      char byte = '?';
      iovec part{&byte, 1};
      const wait_limit soon = std::chrono::microseconds(i % 40);
      EXPECT_EQ(io::detail::blocking_read(ends[0], &part, 1, -1, soon), -1);
      ::close(ends[0]);
      ::close(ends[1]);
      ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
      ASSERT_EQ(::write(ends[1], "x", 1), 1);
      for (int k = 0; k < 5; ++k) this_thread::yield();
      EXPECT_EQ(io::detail::blocking_read(ends[0], &part, 1, -1, {}), 1);
      ::close(ends[0]);
      ::close(ends[1]);
    }
  });
}

TYPED_TEST(Files, OpeningAPipeWaitsForTheOtherEnd) {
  this->in([] {
    const scratch_file name;
    ::unlink(name.name());
    ASSERT_EQ(::mkfifo(name.name(), 0600), 0);
    EXPECT_EQ(io::open(name.name(), O_RDONLY | O_CLOEXEC, 0, 3ms), -1);
    EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    int reading = -1;
    thread reader([&] { reading = io::open(name.name(), O_RDONLY | O_CLOEXEC); });
    const int writing = io::open(name.name(), O_WRONLY | O_CLOEXEC);
    EXPECT_GE(writing, 0);
    reader.join();
    EXPECT_GE(reading, 0);
    io::close(reading);
    io::close(writing);
  });
}

TYPED_TEST(Files, ManyReadsAtOnce) {
  this->in([this] {
    const scratch_file file;
    const int fd = io::open(file.name(), O_RDWR | O_CLOEXEC);
    const std::size_t count = scaled(10'000, this->own_kernel_threads);
    const std::string text = pattern(1 << 20);
    ASSERT_EQ(io::pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    drop_cache(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    std::atomic<std::size_t> wrong{0};
    const auto read_one = [&](std::size_t i) {
      char got[64];
      const std::size_t offset = i * 4099 % (text.size() - sizeof(got));
      const ssize_t bytes = io::pread(fd, got, sizeof(got), static_cast<off_t>(offset));
      if (bytes != sizeof(got) || std::memcmp(got, text.data() + offset, sizeof(got)) != 0) {
        wrong.fetch_add(1);
      }
    };
    std::vector<thread> threads;
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&, i] { read_one(i); });
    for (thread& t : threads) t.join();
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(io::close(fd), 0);
  });
}

TYPED_TEST(Files, ALastLinkIsClosedToo) {
  this->in([] {
    int fd = -1;
    {
      const scratch_file file;
      fd = io::open(file.name(), O_RDWR | O_CLOEXEC);
    }
    ASSERT_EQ(io::pwrite(fd, "x", 1, 0), 1);
    EXPECT_EQ(io::close(fd), 0);
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  });
}

}  // namespace
}  // namespace treadle
