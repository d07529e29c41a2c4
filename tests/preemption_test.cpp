// M:N while threads compute without ever giving way: the others go on, and the hogs, which are
// stopped anywhere, in malloc, printf or amid a throw, come to the right answer.
#include <treadle/runtime.hpp>

#include <gtest/gtest.h>

#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <treadle/blocking_region.hpp>
#include <treadle/mutex.hpp>
#include <treadle/scope.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::scaled;

class Preemption : public ::testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    if (!runtime_.activation().preempts) {
      GTEST_SKIP() << runtime_.activation().why_not_preempting;
    }
  }
  static runtime_options options(unsigned width) {
    runtime_options wanted;
    wanted.model = model::many_to_many;
    wanted.width = width;
    wanted.slice = std::chrono::milliseconds(5);
    return wanted;
  }

  // Runs `hog` in more threads than there are processors, beside one that yields, until the
  // runtime has stopped threads `preemptions` times and there were `turns_min` turns. Each hog
  // checks itself once a turn.
  template <class Hog>
  void torture(Hog hog, std::uint64_t preemptions, long turns_min = 1) {
    std::atomic<long> turns{0};
    std::atomic<bool> stop{false};
    std::atomic<int> ended{0};
    const int hogs = static_cast<int>(GetParam()) + 2;
    runtime_.run([&] {
      std::vector<thread> threads;
      for (int i = 0; i < hogs; ++i) {
        threads.emplace_back([&, i] {
          for (unsigned round = 0; !stop.load(std::memory_order_relaxed); ++round) {
            hog(i, round);
            turns.fetch_add(1, std::memory_order_relaxed);
          }
          ++ended;
        });
      }
      eventually([&] {
        return runtime_.counters().preemptions >= preemptions && turns.load() >= turns_min;
      });
      stop = true;
      for (thread& one : threads) one.join();
    });
    EXPECT_EQ(ended.load(), hogs);
  }

  runtime runtime_{options(GetParam())};
};

TEST_P(Preemption, EndlessLoopsDoNotStopTheRest) {
  std::atomic<bool> stop{false};
  runtime_.run([&] {
    std::vector<thread> hogs;
    for (unsigned i = 0; i < 2 * GetParam(); ++i) {
      hogs.emplace_back([&] {
        while (!stop.load(std::memory_order_relaxed)) {
        }
      });
    }
    // Each of these steps needs a processor that a hog has.
    for (int i = 0; i < 3; ++i) {
      this_thread::sleep_for(std::chrono::milliseconds(1));
      thread child([] { this_thread::yield(); });
      child.join();
    }
    stop = true;
    for (thread& one : hogs) one.join();
  });
  // Beside other processes the one or the other.
  EXPECT_GT(runtime_.counters().preemptions + runtime_.counters().reliefs, 0U);
}

// Here because they let no signal in; beside other processes also because the kernel's ticks find
// them off the CPU. Each goes on as a guest, and the processors serve the others.
TEST_P(Preemption, LoopsThatCannotBeStoppedDoNotStopTheRest) {
  std::atomic<bool> stop{false};
  runtime_.run([&] {
    std::vector<thread> hogs;
    for (unsigned i = 0; i < 2 * GetParam(); ++i) {
      hogs.emplace_back([&] {
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        while (!stop.load(std::memory_order_relaxed)) {
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      });
    }
    for (int i = 0; i < 3; ++i) {
      this_thread::sleep_for(std::chrono::milliseconds(1));
      thread child([] { this_thread::yield(); });
      child.join();
    }
    stop = true;
    for (thread& one : hogs) one.join();
  });
  EXPECT_GT(runtime_.counters().reliefs, 0U);
}

TEST_P(Preemption, ForkedHogsDoNotStopTheirParent) {
  std::atomic<bool> stop{false};
  runtime_.run([&] {
    scope group;
    for (unsigned i = 0; i < GetParam() + 1; ++i) {
      group.spawn([&] {
        while (!stop.load(std::memory_order_relaxed)) {
        }
      });
    }
    stop = true;
    group.join();
  });
}

TEST_P(Preemption, Malloc) {
  torture(
      [](int hog, unsigned round) {
        std::unique_ptr<unsigned char[]> blocks[64];
        std::size_t sizes[64] = {};
        std::uint32_t random = static_cast<std::uint32_t>(hog) * 7919 + round;
        for (int i = 0; i < 500; ++i) {
          random = random * 1664525 + 1013904223;
          const std::size_t j = random >> 8 & 63;
          if (blocks[j]) {
            ASSERT_EQ(blocks[j][0], static_cast<unsigned char>(hog));
            ASSERT_EQ(blocks[j][sizes[j] - 1], static_cast<unsigned char>(hog));
          }
          sizes[j] = 2 + (random >> 16) % ((random & 0x700) != 0 ? 600 : 200'000);
          blocks[j].reset(new unsigned char[sizes[j]]);
          blocks[j][0] = blocks[j][sizes[j] - 1] = static_cast<unsigned char>(hog);
        }
      },
      20);
}

TEST_P(Preemption, MallocHereFreeThere) {
  static std::atomic<char*> slots[256];
  torture(
      [](int hog, unsigned round) {
        std::uint32_t random = static_cast<std::uint32_t>(hog) * 31 + round;
        for (int i = 0; i < 500; ++i) {
          random = random * 1664525 + 1013904223;
          auto* fresh = static_cast<char*>(std::malloc(100 + (random >> 20)));
          fresh[0] = 'm';
          char* old = slots[random >> 8 & 255].exchange(fresh);
          if (old != nullptr) {
            ASSERT_EQ(old[0], 'm');
          }
          std::free(old);
        }
      },
      20);
  for (std::atomic<char*>& one : slots) std::free(one.exchange(nullptr));
}

TEST_P(Preemption, Printf) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::atomic<long> lines{0};
  torture(
      [&](int hog, unsigned round) {
        for (int i = 0; i < 20; ++i) {
          ASSERT_GT(std::fprintf(file, "%d %u %f hello\n", hog, round, i * 0.5), 0);
          ++lines;
        }
      },
      15);
  std::rewind(file);
  long whole = 0;
  char text[256];
  while (std::fgets(text, sizeof(text), file) != nullptr) {
    int hog;
    unsigned round;
    double number;
    char word[16];
    ASSERT_EQ(std::sscanf(text, "%d %u %lf %15s", &hog, &round, &number, word), 4) << text;
    ASSERT_STREQ(word, "hello");
    ++whole;
  }
  EXPECT_EQ(whole, lines.load());
  std::fclose(file);
}

TEST_P(Preemption, Throw) {
  torture(
      [](int hog, unsigned round) {
        for (int i = 0; i < 50; ++i) {
          const long thrown = hog * 1'000'000L + static_cast<long>(round % 1000) * 1000 + i;
          try {
            throw thrown;
          } catch (const long caught) {
            ASSERT_EQ(caught, thrown);
            ASSERT_EQ(std::uncaught_exceptions(), 0);
          }
        }
      },
      20);
}

TEST_P(Preemption, ErrnoAndNumbers) {
  torture(
      [](int hog, unsigned round) {
        errno = 1000 + hog;
        double sum = 0;
        for (int i = 1; i <= 20'000; ++i) sum += 1.0 / i;
        ASSERT_GT(sum, 10.48);
        ASSERT_LT(sum, 10.49);
        ASSERT_EQ(errno, 1000 + hog);
        static_cast<void>(round);
      },
      15);
}

TEST_P(Preemption, Locks) {
  mutex guard;
  long inside = 0;
  long total = 0;
  std::atomic<long> expected{0};
  torture(
      [&](int, unsigned) {
        for (int i = 0; i < 200; ++i) {
          const std::lock_guard hold(guard);
          ASSERT_EQ(++inside, 1);
          ++total;
          --inside;
        }
        expected += 200;
        // Locking alone gives way often enough.
        volatile unsigned sink = 0;
        for (unsigned i = 0; i < 3'000'000; ++i) sink = sink + i;
      },
      15);
  EXPECT_EQ(total, expected.load());
}

// No call may end early for the runtime's sake: NPTL would not have interrupted it.
TEST_P(Preemption, NoCallIsInterrupted) {
  std::atomic<int> interrupted{0};
  std::atomic<long> calls{0};
  torture(
      [&](int hog, unsigned) {
        if (hog % 2 == 0) {
          for (int i = 0; i < 1000; ++i) calls.fetch_add(1, std::memory_order_relaxed);
          return;
        }
        // Some computing first, so that slices end right here.
        for (int i = 0; i < 200'000; ++i) calls.fetch_add(1, std::memory_order_relaxed);
        timespec span{0, 20'000};
        if (::nanosleep(&span, nullptr) != 0) ++interrupted;
        if (::poll(nullptr, 0, 1) != 0) ++interrupted;
      },
      20);
  EXPECT_EQ(interrupted.load(), 0);
}

TEST_P(Preemption, ForksAmidIt) {
  std::atomic<bool> stop{false};
  runtime_.run([&] {
    std::vector<thread> hogs;
    for (unsigned i = 0; i < GetParam() + 1; ++i) {
      hogs.emplace_back([&] {
        while (!stop.load(std::memory_order_relaxed)) std::free(std::malloc(100));
      });
    }
    for (int i = 0; i < 10; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::execl("/bin/true", "true", nullptr);
        ::_exit(9);
      }
      int status = -1;
      EXPECT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
      this_thread::yield();
    }
    stop = true;
    for (thread& one : hogs) one.join();
  });
}

// Threads that come back from the kernel to compute must queue like the others.
TEST_P(Preemption, BlockedAndComputing) {
  torture(
      [](int, unsigned round) {
        if (round % 8 == 0) ::usleep(100);
        if (round % 16 == 1) {
          blocking_region here;
          ::usleep(50);
        }
        volatile unsigned sink = 0;
        for (unsigned i = 0; i < 100'000; ++i) sink = sink + i;
      },
      1, 300);
}

// A thread is stopped while it holds a lock of libc's, and more threads wait for that in the kernel
// than there are workers: it must go on all the same.
TEST_P(Preemption, LockOfLibcWantedByMoreThanThereAreWorkers) {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  std::atomic<bool> held{false};
  std::atomic<int> passed{0};
  const int wanting = 800;
  runtime_.run([&] {
    thread holder([&] {
      ::pthread_mutex_lock(&lock);
      held = true;
      // Others yield and wait, so this cannot end without having been stopped.
      while (runtime_.counters().preemptions == 0) {
      }
      ::pthread_mutex_unlock(&lock);
    });
    eventually([&] { return held.load(); });
    std::vector<thread> others;
    for (int i = 0; i < wanting; ++i) {
      others.emplace_back([&] {
        ::pthread_mutex_lock(&lock);
        ++passed;
        ::pthread_mutex_unlock(&lock);
      });
    }
    for (thread& one : others) one.join();
    holder.join();
  });
  EXPECT_EQ(passed.load(), wanting);
}

// A thread is stopped while it holds what all workers that there are then wait for; and no more
// can be made, as the hirer may wait for the same.
TEST_P(Preemption, TheLastWorkerGoesToWhomAllWaitFor) {
  // The first preemption needs a spare: some are there then.
  torture([](int, unsigned) {}, 1);
  base::fail_from(base::faulty_call::thread_create, 1, EAGAIN);
  for (int round = 0; round < 3; ++round) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const std::uint64_t before = runtime_.counters().preemptions;
    runtime_.run([&] {
      std::atomic<bool> go{false};
      const auto stopped = [&] { return runtime_.counters().preemptions != before; };
      std::vector<thread> threads;
      threads.emplace_back([&] {
        ::pthread_mutex_lock(&lock);
        while (!stopped() || !go) {
        }
        ::pthread_mutex_unlock(&lock);
      });
      // Somebody must wait, or nobody is stopped.
      for (unsigned i = 0; i < GetParam(); ++i) {
        threads.emplace_back([&] {
          while (!stopped()) {
          }
        });
      }
      eventually(stopped);
      for (int i = 0; i < 40; ++i) {
        threads.emplace_back([&] {
          ::pthread_mutex_lock(&lock);
          ::pthread_mutex_unlock(&lock);
        });
      }
      go = true;
      for (thread& one : threads) one.join();
    });
  }
  base::fail_nth(base::faulty_call::thread_create, 0, 0);
}

INSTANTIATE_TEST_SUITE_P(Widths, Preemption, ::testing::Values(1U, 2U));

TEST(PreemptionSettings, OffIsSaid) {
  runtime_options wanted;
  wanted.model = model::many_to_many;
  wanted.slice = std::chrono::nanoseconds(0);
  runtime one(wanted);
  EXPECT_FALSE(one.activation().preempts);
  EXPECT_STRNE(one.activation().why_not_preempting, "");
}

TEST(PreemptionSettings, WithoutTimersNothingBreaks) {
  base::fail_from(base::faulty_call::timer_create, 1, EAGAIN);
  {
    runtime_options wanted;
    wanted.model = model::many_to_many;
    wanted.width = 1;
    runtime one(wanted);
    EXPECT_EQ(one.run([] { return 1; }), 1);
  }
  base::fail_nth(base::faulty_call::timer_create, 0, 0);
}

TEST(PreemptionSettings, Parsing) {
  EXPECT_EQ(parse_slice("slice", "off").count(), 0);
  EXPECT_EQ(parse_slice("slice", "10ms"), std::chrono::milliseconds(10));
  EXPECT_EQ(parse_slice("slice", "1500us"), std::chrono::microseconds(1500));
  EXPECT_EQ(parse_slice("slice", "2s"), std::chrono::seconds(2));
  for (const char* bad : {"", "10", "ms", "0ms", "-5ms", "10 ms", "500us", "2h", "99999999999s"}) {
    EXPECT_THROW(static_cast<void>(parse_slice("slice", bad)), std::invalid_argument) << bad;
  }
  EXPECT_EQ(parse_activation("activation", "proc"), activation::proc);
  EXPECT_EQ(parse_activation("activation", "off"), activation::off);
  for (const char* bad : {"", "on", "PERF", "perf "}) {
    EXPECT_THROW(static_cast<void>(parse_activation("activation", bad)), std::invalid_argument);
  }
}

}  // namespace
}  // namespace treadle
