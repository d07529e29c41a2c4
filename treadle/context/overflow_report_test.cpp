#include "treadle/context/overflow_report.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/context/stack_arenas.hpp"

namespace treadle::context {

// Outside the anonymous namespace, so that the report's text is short.
[[gnu::noinline]] int endless_recursion(int levels, volatile char* above) {
  volatile char frame[512];
  frame[0] = above[0];
  if (levels == 0) return 0;
  return endless_recursion(levels - 1, frame) + frame[0];
}

[[gnu::noinline]] int frame_of_300_kib() {
  volatile char frame[300 << 10];
  asm volatile("" : : "r"(frame) : "memory");  // or clang keeps only the bytes that are used
  frame[10] = 1;
  return frame[10];
}

namespace {

constexpr std::size_t kib = 1024;
// What a test thread looks like to the describer: its number is at the top of its stack.
struct test_thread {
  base::atomic<std::uint64_t> number;
  char name[16];
};

bool describe_test_thread(const stack& memory, overflow_subject* subject) {
  const auto* const thread = reinterpret_cast<test_thread*>(memory.top) - 1;
  const std::uint64_t number = thread->number.load(base::acquire);  // pairs with make_thread()
  if (number == 0) return false;
  *subject = {number, thread->name, memory.arena->stack_bytes()};
  return true;
}

stack make_thread(stack_arena& arena, std::uint64_t number, const char* name) {
  stack memory{};
  EXPECT_EQ(arena.promise(1), 0);
  EXPECT_EQ(arena.take(&memory, 1), 1U);
  auto* const thread = reinterpret_cast<test_thread*>(memory.top) - 1;
  std::snprintf(thread->name, sizeof(thread->name), "%s", name);
  thread->number.store(number, base::release);  // pairs with describe_test_thread()
  return memory;
}

void run_on(const stack& memory, void (*body)()) {
  static ucontext_t here;
  static ucontext_t there;
  ::getcontext(&there);
  there.uc_stack.ss_sp = memory.bottom;
  there.uc_stack.ss_size = static_cast<std::size_t>(memory.top - memory.bottom) - 64;
  there.uc_link = &here;
  ::makecontext(&there, body, 0);
  ::swapcontext(&here, &there);
}

void recurse() {
  volatile char start[1] = {};
  endless_recursion(1 << 30, start);
}

// The tests run in children: the handler is installed once per process, and most end it.
void prepare() {
  ::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would turn the signal into an exit
  ::signal(SIGBUS, SIG_DFL);
  install_overflow_handler();
  set_stack_describer(describe_test_thread);
}

[[noreturn]] void overflow_by(void (*body)(), std::size_t guard_bytes = 4 * kib) {
  prepare();
  const alternate_signal_stack signals;
  stack_arena& arena = *arena_for(256 * kib, guard_bytes);
  make_thread(arena, 1, "main");
  const stack mine = make_thread(arena, 417, "session");
  make_thread(arena, 418, "");
  for (int i = 0; i < 30; ++i) make_thread(*arena_for(64 * kib, 4 * kib), 1000 + i, "many");
  run_on(mine, body);
  ::_exit(0);
}

using killed_by = testing::KilledBySignal;

TEST(overflow_report_death_test, names_thread_size_address_and_frame) {
  EXPECT_EXIT(overflow_by(recurse), killed_by(SIGSEGV),
              "treadle: stack overflow in thread 417 \"session\": 256 KiB stack, fault at "
              "0x[0-9a-f]+, in frame treadle::context::endless_recursion\\(\\) "
              "\\([^ /]+\\+0x[0-9a-f]+\\)");
}

TEST(overflow_report_death_test, says_how_to_get_a_larger_stack) {
  EXPECT_EXIT(overflow_by(recurse), killed_by(SIGSEGV),
              "thread_attributes::stack_bytes.*runtime_options::stack_bytes.*TREADLE_STACK=512K");
}

TEST(overflow_report_death_test, names_up_to_16_other_threads) {
  EXPECT_EXIT(overflow_by(recurse), killed_by(SIGSEGV),
              "other threads: 1 \"main\", 418, 1000 \"many\", .*1013 \"many\", and more\n$");
}

TEST(overflow_report_death_test, a_probed_frame_of_300_kib_hits_the_guard) {
  EXPECT_EXIT(overflow_by([] { frame_of_300_kib(); }), killed_by(SIGSEGV),
              "stack overflow in thread 417 \"session\": 256 KiB stack.*in frame "
              "treadle::context::frame_of_300_kib");
}

TEST(overflow_report_death_test, a_wide_guard_works_the_same) {
  EXPECT_EXIT(overflow_by(recurse, 512 * kib), killed_by(SIGSEGV), "overflow in thread 417");
}

TEST(overflow_report_death_test, works_with_mprotect_guards) {
  EXPECT_EXIT(
      {
        refuse_guard_install(true);
        overflow_by(recurse);
      },
      killed_by(SIGSEGV), "overflow in thread 417");
}

TEST(overflow_report_death_test, says_when_the_stack_pointer_is_elsewhere) {
  EXPECT_EXIT(
      {
        prepare();
        const alternate_signal_stack signals;
        const stack mine = make_thread(*arena_for(256 * kib, 4 * kib), 417, "session");
        *const_cast<volatile std::byte*>(mine.bottom - 1) = std::byte{1};
      },
      killed_by(SIGSEGV), "thread 417.*\n.*the stack pointer 0x[0-9a-f]+ is not in that stack");
}

TEST(overflow_report_death_test, reports_a_stack_that_no_thread_owns) {
  EXPECT_EXIT(
      {
        prepare();
        const alternate_signal_stack signals;
        run_on(make_thread(*arena_for(256 * kib, 4 * kib), 0, ""), recurse);
      },
      killed_by(SIGSEGV), "stack overflow in a stack that no thread owns: 256 KiB");
}

TEST(overflow_report_death_test, kernel_threads_report_one_at_a_time) {
  EXPECT_EXIT(
      {
        prepare();
        std::vector<std::thread> all;
        for (int i = 0; i < 4; ++i) {
          all.emplace_back([] {
            const alternate_signal_stack signals;
            const stack mine = make_thread(*arena_for(256 * kib, 4 * kib), 417, "session");
            *const_cast<volatile std::byte*>(mine.bottom - 1) = std::byte{1};
          });
        }
        for (auto& each : all) each.join();
      },
      killed_by(SIGSEGV),
      "^treadle: stack overflow[^\n]*\ntreadle: the stack[^\n]*\n"
      "treadle: for a larger[^\n]*\n(treadle: other[^\n]*\n)?$");
}

// Uses up what earlier tests have mapped: stacks that are taken off the thread stay taken.
int error_when_stacks_run_out() {
  base::fail_from(base::faulty_call::mmap, 1, ENOMEM);
  base::fail_from(base::faulty_call::madvise, 1, ENOMEM);
  constexpr int tries = 1000;
  std::deque<alternate_signal_stack> all;
  for (int i = 0; i < tries; ++i) {
    stack_t off = {};
    off.ss_flags = SS_DISABLE;
    ::sigaltstack(&off, nullptr);
    if (const int error = all.emplace_back().error()) return error;
  }
  return 0;
}

TEST(overflow_report_death_test, without_memory_there_is_no_alternate_stack) {
  EXPECT_EXIT(::_exit(error_when_stacks_run_out()), testing::ExitedWithCode(ENOMEM), "");
}

void touch_nothing() {
  // volatile, so that no compiler sees what is going to happen
  volatile int* volatile nowhere = reinterpret_cast<volatile int*>(std::uintptr_t{16});
  *nowhere = 1;
}

TEST(overflow_report_death_test, other_faults_die_as_before_and_say_nothing) {
  EXPECT_EXIT(
      {
        prepare();
        touch_nothing();
      },
      killed_by(SIGSEGV), "^$");
  EXPECT_EXIT(
      {
        prepare();
        ::raise(SIGSEGV);
      },
      killed_by(SIGSEGV), "^$");
  EXPECT_EXIT(
      {
        prepare();
        ::raise(SIGBUS);
      },
      killed_by(SIGBUS), "^$");
}

TEST(overflow_report_death_test, other_faults_go_to_the_handler_before) {
  EXPECT_EXIT(
      {
        ::signal(SIGSEGV, [](int) { ::_exit(42); });
        install_overflow_handler();
        touch_nothing();
      },
      testing::ExitedWithCode(42), "^$");
  EXPECT_EXIT(
      {
        struct sigaction action = {};
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        action.sa_sigaction = [](int, siginfo_t* info, void*) {
          ::_exit(info->si_addr == reinterpret_cast<void*>(16) ? 43 : 1);
        };
        ::sigaction(SIGSEGV, &action, nullptr);
        install_overflow_handler();
        install_overflow_handler();
        touch_nothing();
      },
      testing::ExitedWithCode(43), "^$");
  EXPECT_EXIT(
      {
        ::signal(SIGSEGV, SIG_IGN);
        install_overflow_handler();
        ::raise(SIGSEGV);
        ::_exit(44);
      },
      testing::ExitedWithCode(44), "^$");
}

stack_t current_signal_stack() {
  stack_t current = {};
  EXPECT_EQ(::sigaltstack(nullptr, &current), 0);
  return current;
}

void without_signal_stack(void (*body)()) {
  std::thread([body] {
    stack_t off = {};
    off.ss_flags = SS_DISABLE;
    const stack_t before = current_signal_stack();  // a sanitizer has set one
    ::sigaltstack(&off, nullptr);
    body();
    ::sigaltstack(&before, nullptr);
  }).join();
}

TEST(alternate_signal_stack_test, is_there_for_the_life_of_the_object) {
  without_signal_stack([] {
    for (int round = 0; round < 3; ++round) {
      {
        const alternate_signal_stack signals;
        EXPECT_EQ(signals.error(), 0);
        const stack_t now = current_signal_stack();
        EXPECT_EQ(now.ss_flags & SS_DISABLE, 0);
        EXPECT_GE(now.ss_size, 60 * kib);
      }
      EXPECT_NE(current_signal_stack().ss_flags & SS_DISABLE, 0);
    }
  });
}

TEST(alternate_signal_stack_test, keeps_the_one_that_is_there) {
  without_signal_stack([] {
    std::vector<char> memory(64 * kib);
    stack_t own = {};
    own.ss_sp = memory.data();
    own.ss_size = memory.size();
    ASSERT_EQ(::sigaltstack(&own, nullptr), 0);
    {
      const alternate_signal_stack signals;
      EXPECT_EQ(signals.error(), 0);
      EXPECT_EQ(current_signal_stack().ss_sp, memory.data());
    }
    EXPECT_EQ(current_signal_stack().ss_sp, memory.data());
  });
}

TEST(alternate_signal_stack_test, leaves_a_later_one_alone) {
  without_signal_stack([] {
    std::vector<char> memory(64 * kib);
    {
      const alternate_signal_stack signals;
      stack_t own = {};
      own.ss_sp = memory.data();
      own.ss_size = memory.size();
      ASSERT_EQ(::sigaltstack(&own, nullptr), 0);
    }
    EXPECT_EQ(current_signal_stack().ss_sp, memory.data());
  });
}

TEST(alternate_signal_stack_test, its_memory_is_no_threads_stack) {
  without_signal_stack([] {
    const alternate_signal_stack signals;
    stack found{};
    EXPECT_EQ(arena_of(current_signal_stack().ss_sp, &found), nullptr);
  });
}

}  // namespace
}  // namespace treadle::context
