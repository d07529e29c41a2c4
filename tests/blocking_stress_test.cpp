// Random mixtures of threads that block in the kernel, say so or not, compute, and wake each other:
// `blocking_stress_test [REPETITIONS [SEED]]`.
//
// Each repetition draws a model, a width and a script for each thread from its seed; the numbers
// that the steps add give a known sum. What it is after is a wake-up that is lost between a worker
// that comes back from the kernel and those who take its processor meanwhile: then the program
// hangs. Such a moment is short, and a runtime with one processor has nobody who looks again; so
// the runtimes are many, and small. The work is bounded, time is not looked at.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <treadle/treadle.hpp>
#include <vector>

#include "tests/support/outsider.hpp"

namespace treadle {
namespace {

int repetitions = 12;  // guess: some seconds in an instrumented build; hundreds by hand
unsigned first_seed = 1;

enum class step : unsigned {
  blocks,       // a system call that nobody announced
  says_so,      // the same, announced
  kernel_lock,  // a lock that only the kernel knows
  read,         // a block of a file, often not in memory
  plain_read,   // the same by the system's call
  pipe,         // a word to the reader of a pipe
  computes,     // for a while, without giving way
  nap,          // a timer
  permits,      // a counting semaphore of two
  locked,       // a mutex
  child,        // a child thread does it, joined
  outside,      // a foreign kernel thread does it, and wakes us
  count
};
constexpr auto step_count = static_cast<unsigned>(step::count);

struct plan {
  runtime_options options;
  std::vector<std::vector<std::pair<step, unsigned>>> scripts;
  unsigned long expected = 0;
};

plan draw(unsigned seed) {
  std::mt19937 random(seed);
  plan made;
  // Half of them with one processor.
  constexpr std::array<unsigned, 4> widths{1, 1, 2, 3};
  const unsigned kind = random() % 8;
  made.options.model = kind == 0   ? model::many_to_one
                       : kind == 1 ? model::one_to_one
                                   : model::many_to_many;
  if (*made.options.model == model::many_to_many) made.options.width = widths[random() % 4];
  made.options.stack_bytes = std::size_t{64} * 1024;
  // Where few steps are drawn from, the same meet more often.
  const unsigned mask = 1 + random();
  made.scripts.resize(1 + random() % 4 * random() % 16);
  for (auto& script : made.scripts) {
    for (unsigned i = 0; i < 30 + random() % 30; ++i) {
      auto what = random() % step_count;
      while ((mask >> what & 1) == 0 && what != 0) --what;
      const unsigned number = 1 + random() % 1000;
      script.emplace_back(static_cast<step>(what), number);
      made.expected += number;
    }
  }
  return made;
}

// A file whose blocks are dropped from memory again and again.
class cold_file {
 public:
  static constexpr std::size_t block_bytes = 4096;
  static constexpr unsigned blocks = 32;

  cold_file() {
    std::string name = "/tmp/treadle-blocking-stress-XXXXXX";
    file_ = ::mkstemp(name.data());
    ::unlink(name.c_str());
    for (unsigned number = 0; number < blocks; ++number) {
      const std::string block(block_bytes, static_cast<char>('0' + number));
      EXPECT_EQ(::write(file_, block.data(), block.size()), static_cast<ssize_t>(block.size()));
    }
    ::fdatasync(file_);
  }
  ~cold_file() { ::close(file_); }
  cold_file(const cold_file&) = delete;
  cold_file& operator=(const cold_file&) = delete;

  // Whether what is read is right.
  bool read(unsigned number, bool plainly) const {
    std::array<char, block_bytes> got;
    const auto at = static_cast<off_t>(number % blocks * block_bytes);
    if (number % 4 == 0) ::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED);
    const ssize_t bytes = plainly ? ::pread(file_, got.data(), got.size(), at)
                                  : io::pread(file_, got.data(), got.size(), at);
    return bytes == ssize_t{block_bytes} && got.back() == static_cast<char>('0' + number % blocks);
  }

 private:
  int file_ = -1;
};

// What the threads of one repetition share.
class playground {
 public:
  playground() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~playground() { ::close(ends_[0]); }
  playground(const playground&) = delete;
  playground& operator=(const playground&) = delete;

  void play(const std::vector<std::pair<step, unsigned>>& mine) {
    for (const auto& [what, number] : mine) take(what, number);
  }
  // Until no more is written.
  void drain() {
    unsigned number = 0;
    while (io::read(ends_[0], &number, sizeof(number)) == ssize_t{sizeof(number)}) sum_ += number;
  }
  void no_more() { ::close(ends_[1]); }
  unsigned long sum() const { return sum_ + counter_ + kernel_counter_; }

 private:
  void take(step what, unsigned number) {
    switch (what) {
      case step::blocks:
        ::usleep(number % 64);
        break;
      case step::says_so:
        blocking([number] { ::usleep(number % 64); });
        break;
      case step::kernel_lock: {
        const std::lock_guard hold(kernel_lock_);
        if (number % 8 == 0) ::usleep(20);
        kernel_counter_ += number;
        return;
      }
      case step::read:
      case step::plain_read:
        if (!file_.read(number, what == step::plain_read)) return;
        break;
      case step::pipe:
        if (io::write(ends_[1], &number, sizeof(number)) != ssize_t{sizeof(number)}) sum_ += 1'000;
        return;
      case step::computes:
        for (unsigned i = 0; i < number * 100; ++i) work_.store(i, std::memory_order_relaxed);
        break;
      case step::nap:
        this_thread::sleep_for(std::chrono::microseconds(number % 128));
        break;
      case step::permits: {
        permits_.acquire();
        if (number % 4 == 0) this_thread::yield();
        if (number % 16 == 1) ::usleep(20);
        permits_.release();
        break;
      }
      case step::locked: {
        const std::lock_guard hold(lock_);
        if (number % 8 == 0) this_thread::yield();
        counter_ += number;
        return;
      }
      case step::child:
        thread([this, number] { sum_ += number; }).join();
        return;
      case step::outside:
        outsider_.ask(number);
        break;
      case step::count:
        return;
    }
    sum_ += number;
  }

  cold_file file_;
  testing_support::outsider outsider_;
  std::array<int, 2> ends_{};
  std::atomic<unsigned long> sum_{0};
  std::atomic<unsigned> work_{0};
  std::mutex kernel_lock_;
  unsigned long kernel_counter_ = 0;  // guarded by kernel_lock_
  mutex lock_;
  unsigned long counter_ = 0;  // guarded by lock_
  counting_semaphore<2> permits_{2};
};

void repeat(unsigned seed) {
  const plan made = draw(seed);
  playground ground;
  runtime rt(made.options);
  rt.run([&] {
    thread drain([&ground] { ground.drain(); });
    std::vector<thread> threads;
    for (const auto& one : made.scripts) {
      threads.emplace_back([&ground, &one] { ground.play(one); });
    }
    for (thread& t : threads) t.join();
    ground.no_more();
    drain.join();
  });
  ASSERT_EQ(ground.sum(), made.expected) << "run again with: blocking_stress_test 1 " << seed;
}

TEST(BlockingStress, KnownAnswer) {
  for (int i = 0; i < repetitions; ++i) {
    repeat(first_seed + static_cast<unsigned>(i));
    if (HasFatalFailure()) return;
  }
}

// At once in two runtimes, from foreign kernel threads: each in the other's way.
TEST(BlockingStress, TwoRuntimesAtOnce) {
  for (int i = 0; i < repetitions; i += 3) {
    const unsigned seed = first_seed + 1000 + static_cast<unsigned>(i);
    std::thread other([seed] { repeat(seed); });
    repeat(seed + 1);
    other.join();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace treadle

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) treadle::repetitions = std::atoi(argv[1]);
  // The kernel lets sleeps last 50 us longer than asked for, and then who blocks is always found.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  if (argc > 2) treadle::first_seed = static_cast<unsigned>(std::atoi(argv[2]));
  return RUN_ALL_TESTS();
}
