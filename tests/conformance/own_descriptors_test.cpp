// The runtime's own descriptors take none of the low numbers, in every model: a number that the
// program has closed stays closed until the program opens something.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;

template <class Model>
class OwnDescriptors : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(OwnDescriptors, testing_support::every_model, testing_support::model_names);

// The number that the next open() of this process will get.
int lowest_free() {
  const int number = ::dup(STDIN_FILENO);
  EXPECT_GE(number, 0);
  ::close(number);
  return number;
}

// Workers that are just starting have descriptors for a moment.
void expect_free_again(int number) {
  for (int look = 0; look < 10'000; ++look) {
    if (lowest_free() <= number) return;
    this_thread::yield();
  }
  ADD_FAILURE() << "the lowest free number stays above " << number;
}

[[gnu::noinline]] int last_error() { return errno; }

TYPED_TEST(OwnDescriptors, waits_take_no_low_number) {
  this->in([] {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const int before = lowest_free();
    std::vector<thread> readers;
    for (int i = 0; i < 8; ++i) {
      readers.emplace_back([&] {
        char got = 0;
        EXPECT_EQ(io::read(pipe[0], &got, 1, 1ms), -1);
        EXPECT_EQ(last_error(), ETIMEDOUT);
      });
    }
    for (thread& one : readers) one.join();
    expect_free_again(before);
    io::close(pipe[0]);
    io::close(pipe[1]);
  });
}

TYPED_TEST(OwnDescriptors, files_take_no_low_number) {
  this->in([] {
    char path[] = "/tmp/treadle-own-descriptors-XXXXXX";
    const int file = ::mkstemp(path);
    ASSERT_GE(file, 0);
    ::unlink(path);
    const int before = lowest_free();
    EXPECT_EQ(io::pwrite(file, "x", 1, 0), 1);
    EXPECT_EQ(io::fsync(file), 0);
    expect_free_again(before);
    io::close(file);
  });
}

// Also where workers start all the time, because others block theirs: each has a descriptor for a
// moment, and a reader may take it for the one that it looks for.
TYPED_TEST(OwnDescriptors, read_of_a_closed_number_ends) {
  this->in([] {
    std::atomic<bool> over{false};
    std::vector<thread> sleepers;
    for (int i = 0; i < 30; ++i) {
      sleepers.emplace_back([&] {
        while (!over.load()) {
          ::usleep(500);
          this_thread::yield();
        }
      });
    }
    const int closed = lowest_free();
    for (int look = 0; look < 2000; ++look) {
      char got = 0;
      EXPECT_EQ(io::read(closed, &got, 1), -1);
      if (look % 100 == 0) this_thread::yield();
    }
    over = true;
    for (thread& one : sleepers) one.join();
  });
}

}  // namespace
}  // namespace treadle
