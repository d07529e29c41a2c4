// M:N while threads block in the kernel without saying so: the others go on.
//
// One processor, every level of detection. A test that would hang if the others stood still proves
// it: what ends the blocking call is done by a thread of the same runtime.
#include <treadle/runtime.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <treadle/blocking_region.hpp>
#include <treadle/io.hpp>
#include <treadle/mutex.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/one_processor.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::one_processor;
using testing_support::scaled;

std::string name_of(activation level) {
  switch (level) {
    case activation::off:
      return "off";
    case activation::monitor:
      return "monitor";
    case activation::proc:
      return "proc";
    case activation::perf:
      return "perf";
  }
  return "unknown";
}

class Blocked : public ::testing::TestWithParam<activation> {
 protected:
  void SetUp() override {
    if (runtime_.activation().level != GetParam()) {
      GTEST_SKIP() << "this machine: " << runtime_.activation().why_not_better;
    }
  }

  // `wait` blocks its kernel thread until `end` has been called by another thread.
  template <class Wait, class End>
  void expect_others_run(Wait wait, End end) {
    std::atomic<bool> waiting{false};
    std::atomic<long> turns{0};
    runtime_.run([&] {
      thread blocked([&] {
        waiting = true;
        wait();
      });
      eventually([&] { return waiting.load(); });
      thread counter([&] {
        for (int i = 0; i < 1000; ++i) {
          ++turns;
          this_thread::yield();
        }
      });
      eventually([&] { return turns.load() == 1000; });
      end();
      blocked.join();
      counter.join();
    });
    EXPECT_EQ(turns.load(), 1000);
  }

  runtime runtime_{one_processor(GetParam())};
};

TEST_P(Blocked, InRead) {
  int wire[2];
  ASSERT_EQ(::pipe(wire), 0);
  char got = 0;
  for (std::size_t round = 0; round < scaled(50); ++round) {
    expect_others_run([&] { EXPECT_EQ(::read(wire[0], &got, 1), 1); },
                      [&] { EXPECT_EQ(::write(wire[1], "x", 1), 1); });
  }
  ::close(wire[0]);
  ::close(wire[1]);
}

TEST_P(Blocked, InFlock) {
  char path[] = "/tmp/treadle_flock_XXXXXX";
  const int one = ::mkstemp(path);
  ASSERT_GE(one, 0);
  const int other = ::open(path, O_RDWR | O_CLOEXEC);
  ::unlink(path);
  ASSERT_EQ(::flock(one, LOCK_EX), 0);
  expect_others_run([&] { EXPECT_EQ(::flock(other, LOCK_EX), 0); },
                    [&] { EXPECT_EQ(::flock(one, LOCK_UN), 0); });
  ::close(one);
  ::close(other);
}

TEST_P(Blocked, InALockOfLibc) {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  std::atomic<bool> held{false};
  std::atomic<bool> wanted_back{false};
  std::thread holder([&] {
    EXPECT_EQ(::pthread_mutex_lock(&lock), 0);
    held = true;
    while (!wanted_back.load()) ::usleep(100);
    EXPECT_EQ(::pthread_mutex_unlock(&lock), 0);
  });
  while (!held.load()) ::usleep(100);
  expect_others_run(
      [&] {
        EXPECT_EQ(::pthread_mutex_lock(&lock), 0);
        EXPECT_EQ(::pthread_mutex_unlock(&lock), 0);
      },
      [&] { wanted_back = true; });
  holder.join();
}

TEST_P(Blocked, InWaitpid) {
  int wire[2];
  ASSERT_EQ(::pipe(wire), 0);
  expect_others_run(
      [&] {
        const pid_t child = ::fork();
        if (child == 0) {
          char byte;
          ::close(wire[1]);
          const ssize_t got = ::read(wire[0], &byte, 1);
          ::_exit(got == 1 ? 7 : 8);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(WEXITSTATUS(status), 7);
      },
      [&] { EXPECT_EQ(::write(wire[1], "x", 1), 1); });
  ::close(wire[0]);
  ::close(wire[1]);
}

TEST_P(Blocked, InUsleep) {
  // Nothing but time ends this one: the others must have had turns meanwhile.
  std::atomic<bool> slept{false};
  std::atomic<bool> begun{false};
  long turns = 0;
  runtime_.run([&] {
    thread sleeper([&] {
      begun = true;
      ::usleep(300'000);
      slept = true;
    });
    eventually([&] { return begun.load(); });
    while (!slept.load()) {
      ++turns;
      this_thread::yield();
    }
    sleeper.join();
  });
  EXPECT_GT(turns, 1000);
}

TEST_P(Blocked, InAPageFault) {
#if defined(UFFD_USER_MODE_ONLY)
  const int faults =
      static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
#else
  const int faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
#endif
  if (faults < 0) GTEST_SKIP() << "userfaultfd is refused here";
  uffdio_api api{UFFD_API, 0, 0};
  ASSERT_EQ(::ioctl(faults, UFFDIO_API, &api), 0);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  uffdio_register range{};
  range.range = {reinterpret_cast<std::uint64_t>(memory), page};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(::ioctl(faults, UFFDIO_REGISTER, &range), 0);
  expect_others_run([&] { EXPECT_EQ(*static_cast<volatile char*>(memory), 0); },
                    [&] {
                      uffdio_zeropage zero{};
                      zero.range = range.range;
                      EXPECT_EQ(::ioctl(faults, UFFDIO_ZEROPAGE, &zero), 0);
                    });
  ::munmap(memory, page);
  ::close(faults);
}

TEST_P(Blocked, AThousandAtOnce) {
  const std::size_t count = scaled(1000);
  int wire[2];
  ASSERT_EQ(::pipe(wire), 0);
  std::atomic<std::size_t> back{0};
  // As many as there are spares for are in the kernel at once, so the writer is from outside; each
  // that comes back lets another one in.
  std::thread writer([&] {
    for (std::size_t i = 0; i < count; ++i) {
      // Now and then all readers are in the kernel when the next byte comes.
      if (i % 100 == 99) ::usleep(2000);
      EXPECT_EQ(::write(wire[1], "x", 1), 1);
    }
  });
  runtime_.run([&] {
    std::vector<thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        char byte;
        EXPECT_EQ(::read(wire[0], &byte, 1), 1);
        ++back;
      });
    }
    for (thread& one : threads) one.join();
  });
  writer.join();
  EXPECT_EQ(back.load(), count);
  ::close(wire[0]);
  ::close(wire[1]);
}

TEST_P(Blocked, AmidLocksAndEnds) {
  // Threads that come back as guests lock, wake, start and join others, and end.
  int wire[2];
  ASSERT_EQ(::pipe(wire), 0);
  long sum = 0;
  mutex guard;
  const std::size_t rounds = scaled(200);
  runtime_.run([&] {
    std::vector<thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (std::size_t n = 0; n < rounds; ++n) {
          char byte;
          EXPECT_EQ(::read(wire[0], &byte, 1), 1);
          {
            const std::lock_guard hold(guard);
            ++sum;
          }
          thread child([&] {
            const std::lock_guard hold(guard);
            ++sum;
          });
          if (n % 3 == 0) this_thread::sleep_for(std::chrono::microseconds(10));
          child.join();
        }
      });
    }
    thread writer([&] {
      for (std::size_t n = 0; n < 4 * rounds; ++n) {
        EXPECT_EQ(::write(wire[1], "x", 1), 1);
        this_thread::yield();
      }
    });
    for (thread& one : threads) one.join();
    writer.join();
  });
  EXPECT_EQ(sum, static_cast<long>(8 * rounds));
  ::close(wire[0]);
  ::close(wire[1]);
}

// The worker that took the processor has gone to sleep before anybody could wait for events.
TEST_P(Blocked, BackAsAGuestToWaitForTheFirstEvent) {
  int first[2];
  int second[2];
  ASSERT_EQ(::pipe(first), 0);
  ASSERT_EQ(::pipe(second), 0);
  std::atomic<bool> waiting{false};
  std::atomic<bool> back{false};
  std::thread outside([&] {
    while (!waiting.load()) ::usleep(100);
    ::usleep(20'000);
    EXPECT_EQ(::write(first[1], "x", 1), 1);
    while (!back.load()) ::usleep(100);
    ::usleep(20'000);
    EXPECT_EQ(::write(second[1], "y", 1), 1);
  });
  runtime_.run([&] {
    thread guest([&] {
      char byte;
      waiting = true;
      EXPECT_EQ(::read(first[0], &byte, 1), 1);
      back = true;
      EXPECT_EQ(io::read(second[0], &byte, 1), 1);
    });
    eventually([&] { return waiting.load(); });
    for (int i = 0; i < 100; ++i) this_thread::yield();
    guest.join();
  });
  outside.join();
  for (const int one : {first[0], first[1], second[0], second[1]}) io::close(one);
}

TEST_P(Blocked, BackAsGuestsToSleep) {
  std::atomic<int> awake{0};
  runtime_.run([&] {
    std::vector<thread> guests;
    for (int i = 0; i < 20; ++i) {
      guests.emplace_back([&] {
        ::usleep(1000);
        this_thread::sleep_for(std::chrono::milliseconds(1));
        ++awake;
      });
    }
    for (thread& one : guests) one.join();
  });
  EXPECT_EQ(awake.load(), 20);
}

INSTANTIATE_TEST_SUITE_P(Levels, Blocked,
                         ::testing::Values(activation::perf, activation::proc, activation::monitor),
                         [](const auto& one) { return name_of(one.param); });

// ---- what the machine refuses ----

class Refused : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const auto call : {base::faulty_call::perf_event_open, base::faulty_call::idle_class,
                            base::faulty_call::task_syscall, base::faulty_call::membarrier,
                            base::faulty_call::close_range}) {
      base::fail_nth(call, 0, 0);
    }
  }
  static activation level(activation wanted = activation::perf) {
    runtime tried(one_processor(wanted));
    EXPECT_EQ(tried.run([] { return 5; }), 5);
    const core::activation_report& report = tried.activation();
    if (report.level != wanted) {
      EXPECT_STRNE(report.why_not_better, "");
    }
    return report.level;
  }
};

TEST_F(Refused, PerfEvents) {
  base::fail_from(base::faulty_call::perf_event_open, 1, EACCES);
  EXPECT_LE(level(), activation::proc);
}

TEST_F(Refused, Proc) {
  base::fail_from(base::faulty_call::task_syscall, 1, EACCES);
  const activation found = level(activation::proc);
  EXPECT_TRUE(found == activation::perf || found == activation::off) << name_of(found);
}

TEST_F(Refused, ATableOfItsOwn) {
  base::fail_from(base::faulty_call::close_range, 1, ENOSYS);
  EXPECT_EQ(level(), activation::off);
}

TEST_F(Refused, PerfEventsAndProc) {
  base::fail_from(base::faulty_call::perf_event_open, 1, EACCES);
  base::fail_from(base::faulty_call::task_syscall, 1, EACCES);
  EXPECT_EQ(level(), activation::off);
  runtime tried(one_processor(activation::perf));
  EXPECT_FALSE(tried.activation().preempts);
}

TEST_F(Refused, PerfEventsForSpares) {
  // As with the limit on locked memory: the first ring is to be had, later ones are not.
  base::fail_from(base::faulty_call::perf_event_open, 2, EPERM);
  EXPECT_GE(level(), activation::monitor);
}

// No worker can be watched, as in a process without a descriptor left: one that blocks is relieved
// all the same, some milliseconds later.
TEST_F(Refused, AnyProbeForWorkers) {
  base::fail_from(base::faulty_call::perf_event_open, 2, EMFILE);
  base::fail_from(base::faulty_call::task_syscall, 1, EMFILE);
  runtime unseeing(one_processor(activation::perf));
  if (unseeing.activation().level != activation::perf) GTEST_SKIP() << "no perf events here";
  int wire[2];
  ASSERT_EQ(::pipe(wire), 0);
  for (const bool for_ever : {true, false}) {
    // Then the descriptors are back, and the probes are mended.
    if (!for_ever) TearDown();
    for (std::size_t round = 0; round < scaled(20); ++round) {
      unseeing.run([&] {
        std::atomic<bool> waiting{false};
        thread reader([&] {
          waiting = true;
          char byte = 0;
          EXPECT_EQ(::read(wire[0], &byte, 1), 1);
        });
        eventually([&] { return waiting.load(); });
        EXPECT_EQ(::write(wire[1], "x", 1), 1);
        reader.join();
      });
    }
  }
  ::close(wire[0]);
  ::close(wire[1]);
}

TEST_F(Refused, TheIdleClass) {
  base::fail_from(base::faulty_call::idle_class, 1, EPERM);
  EXPECT_LE(level(), activation::monitor);
}

TEST_F(Refused, Membarrier) {
  base::fail_from(base::faulty_call::membarrier, 1, ENOSYS);
  EXPECT_EQ(level(), activation::off);
}

// ---- the threads that watch ----

// What /proc says of those kernel threads of this process that do not have the open file: how many
// block the program's signals, and how many do not.
struct counted {
  unsigned quiet = 0;
  unsigned loud = 0;
};
counted count_threads_without(const std::filesystem::path& open_file) {
  counted sum;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    bool has = false;
    std::error_code gone;
    for (const auto& one : std::filesystem::directory_iterator(task.path() / "fd", gone)) {
      has = has || std::filesystem::read_symlink(one.path(), gone) == open_file;
    }
    if (has) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("SigBlk:", 0) != 0) continue;
      const auto blocked = std::stoull(line.substr(7), nullptr, 16);
      ++((blocked >> (SIGUSR1 - 1) & 1) != 0 ? sum.quiet : sum.loud);
    }
  }
  return sum;
}

// A pipe's reader sees its end when the program has closed the other side, and a handler that
// writes to a descriptor finds it.
TEST(Activation, WatchersHaveNeitherDescriptorsNorSignalsOfTheProgram) {
  int wire[2];
  ASSERT_EQ(::pipe(wire), 0);
  runtime_options wanted = one_processor(activation::proc);
  wanted.width = 2;
  runtime watched(wanted);
  if (watched.activation().level != activation::proc) {
    GTEST_SKIP() << watched.activation().why_not_better;
  }
  const auto pipe = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(wire[1]));
  counted seen;
  // A thread that ends, of an earlier runtime, too, has lost its descriptors before it has gone.
  watched.run([&] {
    eventually([&] {
      seen = count_threads_without(pipe);
      return seen.loud == 0 && seen.quiet <= 1U + 2U;
    });
  });
  EXPECT_EQ(seen.quiet, 1U + 2U);  // the monitor and the standbys
  ::close(wire[1]);
  char none = 0;
  EXPECT_EQ(::read(wire[0], &none, 1), 0);
  ::close(wire[0]);
}

TEST(Activation, OtherModelsHaveNone) {
  runtime_options wanted;
  wanted.model = model::one_to_one;
  EXPECT_EQ(runtime(wanted).activation().level, activation::off);
}

}  // namespace
}  // namespace treadle
