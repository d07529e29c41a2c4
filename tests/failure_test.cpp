// What goes wrong around the runtime: overflow, refused memory and threads, bad settings, ends of
// the process. Each case is a child process (tests/programs), so that it may die.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <treadle/runtime.hpp>
#include <vector>

#include "tests/support/child_process.hpp"

namespace treadle {
namespace {

using testing_support::command;
using testing_support::count_lines_with;
using testing_support::outcome;
using testing_support::run;

constexpr const char* models[] = {"m:1", "1:1", "m:n"};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// ---- stack overflow ----

// AddressSanitizer has a handler of its own for SIGSEGV, and it says more about it than we do.
#if defined(TREADLE_SANITIZED)
#define SKIP_WITHOUT_OUR_HANDLER() GTEST_SKIP() << "the sanitizer reports overflows itself"
#else
#define SKIP_WITHOUT_OUR_HANDLER() static_cast<void>(0)
#endif

void expect_overflow_report(const outcome& result, std::string_view stack) {
  EXPECT_TRUE(result.killed_by(SIGSEGV)) << result.describe();
  EXPECT_EQ(count_lines_with(result.err, "stack overflow"), 1U) << result.describe();
  EXPECT_TRUE(contains(result.err, "\"digger\"")) << result.describe();
  EXPECT_TRUE(contains(result.err, stack)) << result.describe();
  EXPECT_TRUE(contains(result.err, "0x")) << "no address: " << result.describe();
  for (const char* other : {"bystander-0", "bystander-1", "bystander-2"}) {
    EXPECT_TRUE(contains(result.err, other)) << other << ": " << result.describe();
  }
  EXPECT_FALSE(contains(result.out, "survived"));
}

TEST(Overflow, DeepRecursionIsReported) {
  SKIP_WITHOUT_OUR_HANDLER();
  for (const char* model : models) {
    SCOPED_TRACE(model);
    expect_overflow_report(run({.program = "overflow", .arguments = {model, "recursion"}}),
                           "64 KiB");
  }
}

TEST(Overflow, AFrameLargerThanStackAndGuardIsReported) {
  SKIP_WITHOUT_OUR_HANDLER();
  for (const char* model : models) {
    SCOPED_TRACE(model);
    expect_overflow_report(run({.program = "overflow", .arguments = {model, "frame"}}), "64 KiB");
  }
}

TEST(Overflow, AThreadOfSystemScopeIsReported) {
  SKIP_WITHOUT_OUR_HANDLER();
  for (const char* model : models) {
    SCOPED_TRACE(model);
    expect_overflow_report(run({.program = "overflow", .arguments = {model, "system"}}), "64 KiB");
  }
}

TEST(Overflow, ReportedWithGuardsByMprotectToo) {
  SKIP_WITHOUT_OUR_HANDLER();
  for (const char* model : models) {
    SCOPED_TRACE(model);
    expect_overflow_report(run({.program = "overflow",
                                .arguments = {model, "recursion"},
                                .environment = {{"TREADLE_FAULT", "madvise:1+:EINVAL"}}}),
                           "64 KiB");
  }
}

// ---- refused memory and threads ----

TEST(Faults, GuardInstallUnavailableIsSaidOnceAndWorks) {
  for (const char* model : models) {
    for (const char* error : {"EINVAL", "EPERM"}) {
      const outcome result =
          run({.program = "faults",
               .arguments = {model, "once"},
               .environment = {{"TREADLE_FAULT", std::string("madvise:1+:") + error}}});
      EXPECT_TRUE(result.exited_with(0)) << result.describe();
      EXPECT_EQ(count_lines_with(result.err, "treadle:"), 1U) << result.describe();
    }
  }
}

TEST(Faults, NothingIsSaidWhenAllIsWell) {
  for (const char* model : models) {
    const outcome result = run({.program = "faults", .arguments = {model, "once"}});
    EXPECT_TRUE(result.exited_with(0)) << result.describe();
    EXPECT_EQ(result.err, "") << result.describe();
  }
}

unsigned long calls_of(const outcome& result, const std::string& call) {
  const std::size_t at = result.out.find(call + "=");
  return at == std::string::npos ? 0 : std::stoul(result.out.substr(at + call.size() + 1));
}

// Fails the first, second, ... call in a process of its own, until there are no more to fail.
void fail_each(const char* model, const std::string& call, const std::string& onward) {
  // Guess: more than the calls that the program makes at its start; the later ones are alike.
#if defined(TREADLE_SANITIZED)
  constexpr unsigned nth_max = 12;
#else
  constexpr unsigned nth_max = 40;
#endif
  unsigned refused = 0;
  for (unsigned n = 1; n <= nth_max; ++n) {
    const std::string fault = call + ":" + std::to_string(n) + onward;
    SCOPED_TRACE(std::string(model) + " " + fault);
    const outcome result = run({.program = "faults",
                                .arguments = {model, "once"},
                                .environment = {{"TREADLE_FAULT", fault}}});
    ASSERT_TRUE(result.exited_with(0) || result.exited_with(3)) << result.describe();
    if (result.exited_with(3)) {
      ++refused;
      EXPECT_TRUE(contains(result.out, "treadle:")) << result.describe();
    }
    if (calls_of(result, call) < n) break;
  }
  // Whatever only advises may be ignored; the others must have been noticed.
  if (call == "mmap") {
    EXPECT_GT(refused, 0U) << model;
  }
  if (call == "thread_create") {
    EXPECT_GT(refused, 0U) << model;
  }
}

TEST(Faults, TheNthMmap) {
  for (const char* model : models) fail_each(model, "mmap", "");
}

TEST(Faults, EveryMmapFromTheNth) {
  for (const char* model : models) fail_each(model, "mmap", "+");
}

TEST(Faults, TheNthMadvise) {
  for (const char* model : models) fail_each(model, "madvise", "");
}

TEST(Faults, EveryMadviseFromTheNth) {
  for (const char* model : models) fail_each(model, "madvise", "+:ENOMEM");
}

TEST(Faults, MemoryOfEndedThreadsServesAgain) {
  for (const char* model : {"m:1", "m:n"}) {
    const outcome result = run({.program = "refill", .arguments = {model}});
    EXPECT_TRUE(result.exited_with(0)) << result.describe();
  }
}

TEST(Faults, TheNthKernelThread) {
  for (const char* model : models) fail_each(model, "thread_create", "");
}

TEST(Faults, EveryKernelThreadFromTheNth) {
  for (const char* model : models) fail_each(model, "thread_create", "+");
}

TEST(Faults, NeitherKindOfGuard) {
  for (const char* model : models) {
    for (const char* n : {"1", "2", "3", "7", "20"}) {
      const std::string fault = std::string("madvise:1+:EINVAL,mprotect:") + n + "+:ENOMEM";
      const outcome result = run({.program = "faults",
                                  .arguments = {model, "once"},
                                  .environment = {{"TREADLE_FAULT", fault}}});
      EXPECT_TRUE(result.exited_with(0) || result.exited_with(3)) << fault << result.describe();
    }
  }
}

// libc puts a kernel thread's thread_local variables on the stack that it is given.
TEST(Faults, ThreadLocalsLargerThanTheStack) {
  for (const char* model : models) {
    const outcome result = run({.program = "large_tls", .arguments = {model}});
    EXPECT_TRUE(result.exited_with(0)) << model << " " << result.describe();
  }
}

TEST(Faults, NothingIsLeaked) {
#if defined(TREADLE_SANITIZED)
  constexpr const char* rounds = "10";
#else
  constexpr const char* rounds = "60";
#endif
  for (const char* model : models) {
    for (const char* call : {"mmap", "madvise", "thread_create"}) {
      const outcome result =
          run({.program = "faults", .arguments = {model, "leaks", call, rounds}});
      EXPECT_TRUE(result.exited_with(0)) << model << " " << call << " " << result.describe();
    }
  }
}

// ---- calls on files ----

TEST(FileCalls, AKernelWithoutIoUringIsServedByThePool) {
  for (const char* model : models) {
    for (const char* error : {"ENOSYS", "EPERM", "ENOMEM", "EMFILE"}) {
      const std::string fault = std::string("io_uring_setup:1+:") + error;
      SCOPED_TRACE(std::string(model) + " " + fault);
      const outcome quiet = run({.program = "file_calls",
                                 .arguments = {model},
                                 .environment = {{"TREADLE_FAULT", fault}}});
      EXPECT_TRUE(quiet.exited_with(0)) << quiet.describe();
      EXPECT_EQ(quiet.err, "") << quiet.describe();
      EXPECT_FALSE(contains(quiet.out, "uring=there")) << quiet.describe();
      const outcome asked =
          run({.program = "file_calls",
               .arguments = {model},
               .environment = {{"TREADLE_FAULT", fault}, {"TREADLE_IO", "uring"}}});
      EXPECT_TRUE(asked.exited_with(0)) << asked.describe();
      // Once, however many calls were made; in 1:1 only those with a limit ask for it at all.
      EXPECT_EQ(count_lines_with(asked.err, "io_uring"), 1U) << asked.describe();
    }
  }
}

TEST(FileCalls, WithoutKernelThreadsForThemTheyAreMadeInPlace) {
  // The runtime's own kernel threads come first.
  for (const char* fault : {"thread_create:2+", "thread_create:3+", "thread_create:4+"}) {
    for (const char* io : {"auto", "pool"}) {
      SCOPED_TRACE(std::string(fault) + " " + io);
      const outcome result = run({.program = "file_calls",
                                  .arguments = {"m:1"},
                                  .environment = {{"TREADLE_FAULT", fault}, {"TREADLE_IO", io}}});
      EXPECT_TRUE(result.exited_with(0)) << result.describe();
    }
  }
}

TEST(FileCalls, WorkInEveryWay) {
  for (const char* model : models) {
    for (const char* io : {"auto", "uring", "pool"}) {
      const outcome result =
          run({.program = "file_calls", .arguments = {model}, .environment = {{"TREADLE_IO", io}}});
      EXPECT_TRUE(result.exited_with(0)) << result.describe();
    }
  }
}

// ---- sockets ----

TEST(SocketEvents, AKernelWithoutIoUringIsServedByEpollAndSaysSoOnce) {
  for (const char* model : {"m:1", "m:n"}) {
    for (const char* fault : {"io_uring_setup:1+:ENOSYS", "io_uring_setup:1+:EPERM",
                              "io_uring_setup:1+:ENOMEM", "io_uring_setup:1+:EINVAL"}) {
      SCOPED_TRACE(std::string(model) + " " + fault);
      const outcome result =
          run({.program = "socket_events",
               .arguments = {model},
               .environment = {{"TREADLE_FAULT", fault}, {"TREADLE_IO", "sockets=uring"}}});
      EXPECT_TRUE(result.exited_with(0)) << result.describe();
      EXPECT_EQ(count_lines_with(result.out, "sockets=epoll"), 2U) << result.describe();
      EXPECT_EQ(count_lines_with(result.err, "io_uring"), 1U) << result.describe();
    }
  }
}

TEST(SocketEvents, WorkInEveryWay) {
  for (const char* model : models) {
    for (const char* io : {"sockets=epoll", "sockets=uring", "pool,sockets=uring"}) {
      const outcome result = run(
          {.program = "socket_events", .arguments = {model}, .environment = {{"TREADLE_IO", io}}});
      EXPECT_TRUE(result.exited_with(0)) << result.describe();
    }
  }
}

// ---- settings ----

void expect_refusal(const outcome& result, const std::vector<std::string>& parts) {
  EXPECT_TRUE(result.exited_with(2)) << result.describe();
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.describe();
  for (const std::string& part : parts) {
    EXPECT_TRUE(contains(result.err, part)) << part << ": " << result.describe();
  }
}

TEST(Settings, TheEnvironmentIsUsed) {
  const outcome result = run({.program = "settings",
                              .environment = {{"TREADLE_MODEL", "m:n"},
                                              {"TREADLE_WIDTH", "3"},
                                              {"TREADLE_STACK", "128K"},
                                              {"TREADLE_GUARD", "8192"},
                                              {"TREADLE_BLOCKING_THREADS", "5"}}});
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
  EXPECT_TRUE(contains(result.out, "model=m:n width=3 stack=131072 guard=8192 calls=5"))
      << result.describe();
  EXPECT_TRUE(contains(result.out, "too late")) << result.describe();
  for (const char* model : models) {
    const outcome one = run({.program = "settings", .environment = {{"TREADLE_MODEL", model}}});
    EXPECT_TRUE(contains(one.out, std::string("model=") + model)) << one.describe();
  }
  const outcome mega = run({.program = "settings", .environment = {{"TREADLE_STACK", "1M"}}});
  EXPECT_TRUE(contains(mega.out, "stack=1048576")) << mega.describe();
}

TEST(Settings, TheProgramComesBeforeTheEnvironment) {
  const outcome result = run(
      {.program = "settings",
       .arguments = {"m:n", "2", "65536"},
       .environment = {{"TREADLE_MODEL", "1:1"}, {"TREADLE_WIDTH", "5"}, {"TREADLE_STACK", "1M"}}});
  EXPECT_TRUE(contains(result.out, "model=m:n width=2 stack=65536")) << result.describe();
  const outcome mixed = run({.program = "settings",
                             .arguments = {"-", "-", "65536"},
                             .environment = {{"TREADLE_MODEL", "m:1"}, {"TREADLE_STACK", "1M"}}});
  EXPECT_TRUE(contains(mixed.out, "model=m:1 width=1 stack=65536")) << mixed.describe();
}

TEST(Settings, BadModels) {
  for (const char* value : {"banana", "M:N", "n:m", "m:n,1:1", " m:n"}) {
    expect_refusal(run({.program = "settings", .environment = {{"TREADLE_MODEL", value}}}),
                   {"TREADLE_MODEL", value, "m:1", "1:1", "m:n"});
  }
}

TEST(Settings, BadWidths) {
  for (const char* value : {"0", "-1", "many", "1.5", "2x", "99999999999999999999", "1000000"}) {
    expect_refusal(run({.program = "settings", .environment = {{"TREADLE_WIDTH", value}}}),
                   {"TREADLE_WIDTH", value, "1"});
  }
}

TEST(Settings, BadBlockingThreads) {
  for (const char* value : {"0", "-1", "many", "1.5", "2x", "99999999999999999999", "4097"}) {
    expect_refusal(
        run({.program = "settings", .environment = {{"TREADLE_BLOCKING_THREADS", value}}}),
        {"TREADLE_BLOCKING_THREADS", value, "1 to 4096"});
  }
}

TEST(Settings, BadFileCalls) {
  for (const char* value : {"banana", "epoll", "URING", " pool", "sockets", "sockets=pool", "pool,",
                            "pool,auto", "sockets=epoll,sockets=uring"}) {
    expect_refusal(run({.program = "settings", .environment = {{"TREADLE_IO", value}}}),
                   {"TREADLE_IO", value, "auto, uring and pool"});
  }
}

TEST(Settings, BadStacksAndGuards) {
  for (const char* value : {"1024", "1K", "0", "-1", "16383", "9M", "8388609", "64G", "K", "12KK",
                            "0x10000", "99999999999999999999", "18446744073709551615K"}) {
    expect_refusal(run({.program = "settings", .environment = {{"TREADLE_STACK", value}}}),
                   {"TREADLE_STACK", value});
  }
  for (const char* value : {"-1", "wide", "1G", "2M"}) {
    expect_refusal(run({.program = "settings", .environment = {{"TREADLE_GUARD", value}}}),
                   {"TREADLE_GUARD", value});
  }
}

TEST(Settings, ABadVariableHarmsNobodyWhoSetsTheOption) {
  const outcome result = run({.program = "settings",
                              .arguments = {"m:1", "1", "65536"},
                              .environment = {{"TREADLE_MODEL", "banana"}}});
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
}

template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Settings, RuntimeOptionsAreCheckedToo) {
  for (const unsigned width : {0U, width_max + 1, std::numeric_limits<unsigned>::max()}) {
    const std::string text = refusal([width] { const runtime rt({.width = width}); });
    EXPECT_TRUE(contains(text, "width")) << text;
    EXPECT_TRUE(contains(text, std::to_string(width))) << text;
    EXPECT_TRUE(contains(text, std::to_string(width_max))) << text;
  }
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1024}, stack_bytes_min - 1,
                                  stack_bytes_max + 1, ~std::size_t{0}}) {
    const std::string text = refusal([bytes] { const runtime rt({.stack_bytes = bytes}); });
    EXPECT_TRUE(contains(text, "stack_bytes")) << text;
    EXPECT_TRUE(contains(text, std::to_string(bytes))) << text;
    EXPECT_TRUE(contains(text, std::to_string(stack_bytes_min))) << text;
    EXPECT_TRUE(contains(text, std::to_string(stack_bytes_max))) << text;
    EXPECT_EQ(refusal([bytes] { runtime::set_default_options({.stack_bytes = bytes}); }), text);
  }
  EXPECT_TRUE(
      contains(refusal([] { const runtime rt({.guard_bytes = ~std::size_t{0}}); }), "guard_bytes"));
  EXPECT_TRUE(
      contains(refusal([] { const runtime rt({.blocking_threads = 0}); }), "blocking_threads"));
}

TEST(Settings, EnumerationsHoldTheirValuesOnly) {
  for (const int number : {-1, 3, 77}) {
    const auto bad = static_cast<model>(number);
    const std::string text = refusal([bad] { const runtime rt({.model = bad}); });
    EXPECT_TRUE(contains(text, "runtime_options::model is \"" + std::to_string(number))) << text;
  }
  EXPECT_TRUE(contains(
      refusal([] { const runtime rt({.activation = static_cast<activation>(4)}); }), "activation"));
  EXPECT_TRUE(contains(
      refusal([] { const runtime rt({.file_calls = static_cast<io::file_calls>(3)}); }), "uring"));
  EXPECT_TRUE(contains(
      refusal([] { const runtime rt({.socket_events = static_cast<io::socket_events>(2)}); }),
      "epoll"));
  for (const int number : {-3, 3, 99}) {
    const auto bad = static_cast<priority>(number);
    const std::string text = refusal([bad] { thread({.priority = bad}, [] {}).join(); });
    EXPECT_TRUE(contains(text, "priority is " + std::to_string(number))) << text;
    EXPECT_FALSE(this_thread::set_priority(bad));
  }
  const auto bad = static_cast<contention_scope>(9);
  EXPECT_TRUE(contains(refusal([bad] { thread({.scope = bad}, [] {}).join(); }), "scope is 9"));
}

TEST(Settings, AffinityToOneCpuIsAWidthOfOne) {
  const outcome result = run({.program = "settings", .before_exec = [] {
                                cpu_set_t one;
                                CPU_ZERO(&one);
                                CPU_SET(::sched_getcpu(), &one);
                                ::sched_setaffinity(0, sizeof(one), &one);
                              }});
  EXPECT_TRUE(contains(result.out, "width=1 ")) << result.describe();
}

// ---- ends of the process, and foreign kernel threads ----

void expect_end(const char* how, int code, const char* said) {
  for (const char* model : models) {
    SCOPED_TRACE(std::string(how) + " " + model);
    const outcome result = run({.program = "ends",
                                .arguments = {how},
                                .environment = {{"TREADLE_MODEL", model}, {"TREADLE_WIDTH", "2"}}});
    EXPECT_TRUE(result.exited_with(code)) << result.describe();
    EXPECT_TRUE(contains(result.out, said)) << result.describe();
    EXPECT_EQ(result.err, "") << result.describe();
  }
}

TEST(Ends, MainReturnsWhileThreadsAreParked) { expect_end("parked", 0, "end of main"); }
TEST(Ends, MainReturnsWhileThreadsRun) { expect_end("running", 0, "end of main"); }
TEST(Ends, MainReturnsWhileThreadsSleep) { expect_end("sleeping", 0, "end of main"); }
TEST(Ends, ExitInsideAThread) { expect_end("exit-inside", 7, ""); }
TEST(Ends, ExitInsideAThreadThenStaticDestructors) { expect_end("exit-inside-late", 7, "late 1"); }
TEST(Ends, QuickExit) { expect_end("quick-exit", 8, ""); }
TEST(Ends, StaticDestructorsUseTheDefaultRuntime) { expect_end("static-destructor", 0, "late 1"); }
TEST(Ends, StaticDestructorIsItsFirstUser) {
  expect_end("static-destructor-first-use", 0, "late 1");
}
TEST(Ends, StaticDestructorsWhileThreadsAreParked) {
  expect_end("static-destructor-parked", 0, "late 1");
}
// The last kernel thread then ends the process (the other models keep some of their own), and so
// does one that is started from a destructor, before that one has come to its end: so has glibc it.
TEST(Ends, MainLeavesByPthreadExit) {
#if defined(TREADLE_TSAN)
  GTEST_SKIP() << "ThreadSanitizer's own kernel thread stays";
#endif
  const outcome result = run({.program = "ends",
                              .arguments = {"pthread-exit"},
                              .environment = {{"TREADLE_MODEL", "1:1"}}});
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
  EXPECT_EQ(result.err, "") << result.describe();
}
TEST(Foreign, ThreadsComeUseItAndGo) { expect_end("foreign", 0, "sum 1600"); }
TEST(Foreign, TheProgramHasAllKeys) { expect_end("foreign-without-keys", 0, "sum 1600"); }
TEST(Foreign, TheMakerOfAThreadEndsFirst) { expect_end("foreign-maker", 0, "outlived"); }
TEST(Foreign, UsedFromAKernelThreadsLastDestructors) { expect_end("foreign-tls", 0, "tls 20"); }

TEST(Ends, UsedBeforeMain) {
  for (const char* model : models) {
    const outcome result =
        run({.program = "ends",
             .arguments = {"early"},
             .environment = {{"TREADLE_MODEL", model}, {"TREADLE_TEST_EARLY", "1"}}});
    EXPECT_TRUE(contains(result.out, "early 1")) << model << result.describe();
    EXPECT_TRUE(result.exited_with(0)) << result.describe();
  }
}

}  // namespace
}  // namespace treadle
