// A runtime that could start no carrier for its tasks: whoever wanted one is told, and it ends.
// Where one is wanted beside others that compute, it tries again.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <treadle/treadle.hpp>
#include <vector>

#include "treadle/base/system_call.hpp"

namespace treadle {
namespace {

task<> nothing() { co_return; }

// Which of the kernel threads that a task wants is refused: the watch's, the carrier's, or none.
void start_one(std::uint64_t refused, bool starts) {
  runtime_options wanted;
  wanted.model = model::one_to_one;
  runtime tried(wanted);
  tried.run([&] {
    base::fail_nth(base::faulty_call::thread_create, refused, EAGAIN);
    if (starts) {
      EXPECT_NO_THROW(spawn(nothing()).join());
    } else {
      EXPECT_THROW(spawn(nothing()).detach(), std::system_error);
    }
    base::fail_nth(base::faulty_call::thread_create, 0, 0);
  });
}

TEST(TasksWithoutCarrier, TheRuntimeEnds) {
  start_one(1, true);
  start_one(2, false);
  start_one(0, true);
}

task<> compute_until(std::atomic<unsigned>& computing, const std::atomic<bool>& flag) {
  computing.fetch_add(1);
  while (!flag.load()) this_thread::yield();
  co_return;
}
task<> set(std::atomic<bool>& flag) {
  flag.store(true);
  co_return;
}

// Long enough for the watch to have found out about all of them.
TEST(TasksWithoutCarrier, AreGoneOnWithWhenThereIsRoomAgain) {
  runtime_options wanted;
  wanted.model = model::one_to_one;
  runtime tried(wanted);
  tried.run([&] {
    std::atomic<bool> over{false};
    std::atomic<unsigned> computing{0};
    std::vector<task_handle<void>> all;
    for (unsigned i = 0; i < tried.width(); ++i)
      all.push_back(spawn(compute_until(computing, over)));
    while (computing.load() < tried.width()) this_thread::yield();
    base::fail_from(base::faulty_call::thread_create, 1, EAGAIN);
    all.push_back(spawn(set(over)));
    this_thread::sleep_for(std::chrono::milliseconds(20) * (tried.width() + 2));
    EXPECT_FALSE(over.load());
    base::fail_nth(base::faulty_call::thread_create, 0, 0);
    for (auto& one : all) one.join();
  });
}

}  // namespace
}  // namespace treadle
