// A runtime that could start no carrier for its tasks: whoever wanted one is told, and it ends.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <treadle/treadle.hpp>

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

}  // namespace
}  // namespace treadle
