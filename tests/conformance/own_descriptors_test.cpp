// The runtime's own descriptors take none of the low numbers, in every model: a number that the
// program has closed stays closed until the program opens something.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
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

// What a poller opens is moved up at once, but another kernel thread may see it before.
void expect_free_again(int number) {
  for (int look = 0; look < 10'000 && lowest_free() > number; ++look) this_thread::yield();
  EXPECT_LE(lowest_free(), number);
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

// While workers start all the time, because others block theirs.
TYPED_TEST(OwnDescriptors, workers_take_no_low_number_even_for_a_moment) {
  this->in([] {
    const int before = lowest_free();
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
    int highest = before;
    for (int look = 0; look < 2000; ++look) {
      highest = std::max(highest, lowest_free());
      if (look % 100 == 0) this_thread::yield();
    }
    over = true;
    for (thread& one : sleepers) one.join();
    EXPECT_EQ(highest, before);
  });
}

}  // namespace
}  // namespace treadle
