// The kernel's side of levels: nice values follow, and what the kernel refuses is not hidden.
#include "treadle/sched/kernel_level.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"
#include "treadle/runtime.hpp"
#include "treadle/thread.hpp"

namespace treadle {
namespace {

int own_nice() { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); }

class KernelLevel : public ::testing::Test {
 protected:
  void TearDown() override { base::fail_nth(base::faulty_call::set_urgency, 0, 0); }

  template <class F>
  void in_thread(priority level, F f) {
    runtime_.run([&] {
      thread t({.priority = level}, f);
      t.join();
    });
  }

  const int nice_ = own_nice();
  runtime runtime_{{.model = model::one_to_one}};
};

// First: a refusal is said once in a process.
TEST_F(KernelLevel, RefusalsAreToldAndTheLevelKept) {
  base::fail_from(base::faulty_call::set_urgency, 1, EACCES);
  ::testing::internal::CaptureStderr();
  in_thread(priority::high, [&] {
    EXPECT_EQ(own_nice(), nice_);
    EXPECT_FALSE(this_thread::set_priority(priority::urgent));
    EXPECT_EQ(this_thread::effective_priority(), priority::urgent);
    errno = 77;
    EXPECT_FALSE(this_thread::set_priority(priority::low));
    EXPECT_EQ(errno, 77);
  });
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("RLIMIT_NICE"), std::string::npos) << said;
  EXPECT_EQ(said.find("RLIMIT_NICE"), said.rfind("RLIMIT_NICE")) << "said twice";
}

TEST_F(KernelLevel, LowerOnesAreNicer) {
  in_thread(priority::low, [&] { EXPECT_EQ(own_nice(), nice_ + 5); });
  in_thread(priority::background, [] { EXPECT_EQ(::sched_getscheduler(0), SCHED_IDLE); });
  in_thread(priority::normal, [&] {
    EXPECT_EQ(own_nice(), nice_);
    EXPECT_TRUE(this_thread::set_priority(priority::low));
    EXPECT_EQ(own_nice(), nice_ + 5);
  });
}

TEST_F(KernelLevel, HigherOnesWhereTheKernelAllowsIt) {
  in_thread(priority::normal, [&] {
    for (const priority level : {priority::high, priority::urgent, priority::background,
                                 priority::normal, priority::low, priority::high}) {
      const bool done = this_thread::set_priority(level);
      EXPECT_EQ(this_thread::priority(), level);
      if (done && level != priority::background) {
        EXPECT_EQ(own_nice(), nice_ - 5 * static_cast<int>(level));
        EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
      }
    }
  });
}

TEST_F(KernelLevel, ANewThreadIsNotAsNiceAsItsMaker) {
  in_thread(priority::low, [&] {
    if (!this_thread::set_priority(priority::normal)) return;  // nobody may take it back here
    static_cast<void>(this_thread::set_priority(priority::low));
    thread child([&] { EXPECT_EQ(own_nice(), nice_); });
    child.join();
  });
}

TEST_F(KernelLevel, ARealTimeClassIsLeftAlone) {
  in_thread(priority::normal, [] {
    sched_param wanted{};
    wanted.sched_priority = 1;
    if (::sched_setscheduler(0, SCHED_RR, &wanted) != 0) return;
    EXPECT_FALSE(this_thread::set_priority(priority::low));
    EXPECT_EQ(::sched_getscheduler(0), SCHED_RR);
  });
}

}  // namespace
}  // namespace treadle
