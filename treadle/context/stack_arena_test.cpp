#include "treadle/context/stack_arena.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "treadle/base/system_call.hpp"
#include "treadle/context/stack_surplus.hpp"

namespace treadle::context {
namespace {

using base::faulty_call;

constexpr std::size_t kib = 1024;

// Whether the kernel can read the byte, without a signal when it cannot.
bool readable(const std::byte* address) {
  static const std::array<int, 2> ends = [] {
    std::array<int, 2> made{};
    EXPECT_EQ(::pipe(made.data()), 0);
    return made;
  }();
  if (::write(ends[1], address, 1) != 1) {
    EXPECT_EQ(errno, EFAULT);
    return false;
  }
  char sink = 0;
  EXPECT_EQ(::read(ends[0], &sink, 1), 1);
  return true;
}

bool write_faults(std::byte* address) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    *const_cast<volatile std::byte*>(address) = std::byte{1};
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

std::size_t address_space_bytes() {
  std::size_t pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  EXPECT_EQ(std::fscanf(file, "%zu", &pages), 1);
  std::fclose(file);
  return pages * base::page_bytes();
}

std::vector<stack> take_all(stack_arena& arena, std::size_t count) {
  std::vector<stack> stacks(count);
  stacks.resize(arena.take(stacks.data(), count));
  return stacks;
}

// As when their threads are about to end: held, and no longer promised.
std::vector<stack> take_unpromised(stack_arena& arena, std::size_t count) {
  EXPECT_EQ(arena.promise(count), 0);
  auto stacks = take_all(arena, count);
  arena.give_up(count);
  return stacks;
}

class stack_arena_test : public testing::Test {
 protected:
  void TearDown() override {
    refuse_guard_install(false);
    for (auto call : {faulty_call::mmap, faulty_call::madvise, faulty_call::mprotect}) {
      base::fail_nth(call, 0, 0);
    }
  }
};

TEST_F(stack_arena_test, maps_nothing_before_the_first_promise) {
  stack_arena arena(64 * kib, 4 * kib);
  EXPECT_EQ(arena.add_slack(10), 0);
  EXPECT_EQ(arena.counters().mapped, 0U);
  stack none;
  EXPECT_EQ(arena.take(&none, 1), 0U);
  EXPECT_FALSE(arena.find(&arena, &none));
}

TEST_F(stack_arena_test, gives_distinct_aligned_staggered_guarded_stacks) {
  stack_arena arena(64 * kib, 4 * kib);
  ASSERT_EQ(arena.promise(200), 0);
  const auto stacks = take_all(arena, 200);
  ASSERT_EQ(stacks.size(), 200U);
  std::set<std::byte*> bottoms;
  std::set<std::uintptr_t> cache_sets;
  for (const stack& each : stacks) {
    const auto top = reinterpret_cast<std::uintptr_t>(each.top);
    EXPECT_EQ(top % 64, 0U);
    EXPECT_GE(each.top - each.bottom, static_cast<std::ptrdiff_t>(63 * kib));
    EXPECT_TRUE(bottoms.insert(each.bottom).second);
    cache_sets.insert(top / 64 % 64);
    each.top[-1] = each.bottom[0] = std::byte{7};
    EXPECT_FALSE(readable(each.bottom - 1));
    EXPECT_FALSE(readable(each.bottom - 4 * kib));
    EXPECT_TRUE(arena.in_guard(each, each.bottom - 1));
    EXPECT_TRUE(arena.in_guard(each, each.bottom - 4 * kib));
    EXPECT_FALSE(arena.in_guard(each, each.bottom));
    EXPECT_FALSE(arena.in_guard(each, each.bottom - 4 * kib - 1));
  }
  EXPECT_EQ(cache_sets.size(), 16U);
  EXPECT_TRUE(write_faults(stacks[100].bottom - 1));
  EXPECT_FALSE(write_faults(stacks[100].bottom));
}

TEST_F(stack_arena_test, finds_the_slot_of_an_address) {
  stack_arena arena(16 * kib, 8 * kib);
  ASSERT_EQ(arena.promise(500), 0);
  for (const stack& each : take_all(arena, 500)) {
    for (const std::byte* address : {each.bottom - 8 * kib, each.bottom, each.top - 1}) {
      stack found{};
      ASSERT_TRUE(arena.find(address, &found));
      EXPECT_EQ(found.slot, each.slot);
      EXPECT_EQ(found.bottom, each.bottom);
      EXPECT_EQ(found.top, each.top);
      EXPECT_EQ(found.arena, &arena);
    }
  }
  stack found{};
  EXPECT_FALSE(arena.find(&found, &found));
}

TEST_F(stack_arena_test, promises_and_slack_are_always_there_to_take) {
  stack_arena arena(16 * kib, 4 * kib);
  ASSERT_EQ(arena.add_slack(100), 0);
  ASSERT_EQ(arena.promise(1), 0);
  EXPECT_EQ(take_all(arena, 101).size(), 101U);
  ASSERT_EQ(arena.promise(999), 0);
  EXPECT_EQ(take_all(arena, 999).size(), 999U);
  ASSERT_EQ(arena.add_slack(300), 0);
  EXPECT_EQ(take_all(arena, 300).size(), 300U);
  const stack_counters now = arena.counters();
  EXPECT_EQ(now.promised, 1000U);
  EXPECT_EQ(now.taken, 1400U);
  EXPECT_GE(now.mapped, 1400U);
}

TEST_F(stack_arena_test, given_up_promises_are_promised_again_without_mapping) {
  stack_arena arena(16 * kib, 4 * kib);
  ASSERT_EQ(arena.promise(1000), 0);
  const auto mapped = arena.counters().mapped;
  for (int round = 0; round < 10; ++round) {
    arena.give_up(1000);
    ASSERT_EQ(arena.promise(1000), 0);
  }
  EXPECT_EQ(arena.counters().mapped, mapped);
  EXPECT_LT(mapped, 1100U);
}

TEST_F(stack_arena_test, takes_the_warmest_first) {
  stack_arena arena(16 * kib, 4 * kib);
  ASSERT_EQ(arena.promise(10), 0);
  auto stacks = take_all(arena, 10);
  arena.put(&stacks[3], 1);
  arena.put(&stacks[7], 2);
  stack again[3];
  ASSERT_EQ(arena.take(again, 3), 3U);
  EXPECT_EQ(again[0].slot, stacks[8].slot);
  EXPECT_EQ(again[1].slot, stacks[7].slot);
  EXPECT_EQ(again[2].slot, stacks[3].slot);
}

TEST_F(stack_arena_test, trims_the_oldest_and_keeps_their_guards) {
  for (const bool refuse : {false, true}) {
    refuse_guard_install(refuse);
    stack_arena arena(16 * kib, 4 * kib);
    arena.set_warm_max(100);
    constexpr std::size_t count = 2000;
    ASSERT_EQ(arena.promise(count), 0);
    const auto stacks = take_all(arena, count);
    for (const stack& each : stacks) each.top[-1] = std::byte{7};
    arena.give_up(count - 500);
    arena.put(stacks.data(), count - 500);
    const stack_counters now = arena.counters();
    EXPECT_LE(now.warm, 100U);
    EXPECT_EQ(now.warm + now.cold, count - 500);
    EXPECT_EQ(now.trimmed, now.cold);
    EXPECT_EQ(stacks.front().top[-1], std::byte{0}) << "trimmed memory reads as zero";
    EXPECT_EQ(stacks[count - 501].top[-1], std::byte{7}) << "the warmest stays";
    for (std::size_t i = count - 500; i < count; ++i) ASSERT_EQ(stacks[i].top[-1], std::byte{7});
    for (const stack& each : stacks) ASSERT_FALSE(readable(each.bottom - 1));
    ASSERT_EQ(arena.promise(count - 500), 0);
    EXPECT_EQ(take_all(arena, count - 500).size(), count - 500);
  }
}

// Everything that is due.
std::int64_t trim_all_unused(stack_arena& arena, std::int64_t now) {
  std::int64_t next = now;
  while (next == now) next = arena.trim_unused(now);
  return next;
}

TEST_F(stack_arena_test, a_kept_surplus_is_trimmed_when_nobody_has_needed_it_for_a_span) {
  constexpr std::int64_t span = stack_arena::keep_span;
  stack_arena arena(16 * kib, 4 * kib);
  arena.set_warm_max(100);
  constexpr std::size_t count = 4000;
  auto stacks = take_unpromised(arena, count);
  begin_keeping();
  EXPECT_EQ(arena.trim_unused(5), stack_arena::never);
  arena.put(stacks.data(), count);
  EXPECT_EQ(arena.counters().warm, count);
  EXPECT_TRUE(has_surplus());
  // How long it has been there is not known at the first look.
  EXPECT_EQ(trim_all_unused(arena, 5), 5 + span);
  EXPECT_EQ(arena.counters().warm, count);
  // A burst needs all but a thousand of them.
  stacks = take_all(arena, count - 1000);
  arena.put(stacks.data(), stacks.size());
  EXPECT_EQ(trim_all_unused(arena, 5 + span - 1), 5 + span);
  EXPECT_EQ(arena.counters().warm, count);
  EXPECT_EQ(trim_all_unused(arena, 5 + span), 5 + 2 * span);
  EXPECT_LE(arena.counters().warm, count - 900);
  EXPECT_GT(arena.counters().warm, count - 900 - 512) << "it trims in batches of 256";
  EXPECT_EQ(trim_all_unused(arena, 5 + 2 * span), stack_arena::never);
  EXPECT_LE(arena.counters().warm, 100U);
  EXPECT_EQ(arena.counters().warm + arena.counters().cold, count);
  end_keeping();
}

TEST_F(stack_arena_test, a_surplus_is_trimmed_at_once_when_nobody_keeps_it) {
  stack_arena arena(16 * kib, 4 * kib);
  arena.set_warm_max(100);
  const auto stacks = take_unpromised(arena, 2000);
  begin_keeping();
  arena.put(stacks.data(), 1000);
  EXPECT_EQ(arena.counters().warm, 1000U);
  end_keeping();
  EXPECT_EQ(arena.counters().warm, 1000U) << "end_keeping() knows the arenas of arena_for() only";
  arena.put(stacks.data() + 1000, 1000);
  EXPECT_LE(arena.counters().warm, 1000U);
  arena.trim_surplus();
  EXPECT_LE(arena.counters().warm, 100U);
}

TEST_F(stack_arena_test, does_not_trim_what_is_promised) {
  stack_arena arena(16 * kib, 4 * kib);
  arena.set_warm_max(10);
  ASSERT_EQ(arena.promise(1024), 0);
  const auto stacks = take_all(arena, 1024);
  arena.put(stacks.data(), stacks.size());
  EXPECT_EQ(arena.counters().trimmed, 0U);
  EXPECT_EQ(take_all(arena, 1024).size(), 1024U);
}

TEST_F(stack_arena_test, a_failing_trim_leaves_the_slots_usable) {
  stack_arena arena(16 * kib, 4 * kib);
  arena.set_warm_max(10);
  const auto stacks = take_unpromised(arena, 1024);
  base::fail_from(faulty_call::madvise, 1, ENOMEM);
  arena.put(stacks.data(), stacks.size());
  ASSERT_EQ(arena.promise(1024), 0);
  EXPECT_EQ(take_all(arena, 1024).size(), 1024U);
}

TEST_F(stack_arena_test, falls_back_to_mprotect_and_says_so_once) {
  base::fail_from(faulty_call::madvise, 1, EINVAL);
  testing::internal::CaptureStderr();
  {
    stack_arena arena(16 * kib, 4 * kib);
    ASSERT_EQ(arena.promise(100), 0);
    for (const stack& each : take_all(arena, 100)) {
      EXPECT_FALSE(readable(each.bottom - 1));
      EXPECT_TRUE(readable(each.bottom));
    }
    stack_arena other(32 * kib, 4 * kib);
    ASSERT_EQ(other.promise(100), 0);
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("treadle: "), 0U) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(stack_arena_test, mprotect_guards_end_with_an_error_not_a_crash) {
  refuse_guard_install(true);
  stack_arena arena(16 * kib, 4 * kib);
  base::fail_nth(faulty_call::mprotect, 5000, ENOMEM);  // what the kernel says at the map limit
  EXPECT_EQ(arena.promise(10000), ENOMEM);
  EXPECT_EQ(arena.counters().promised, 0U);
  EXPECT_EQ(arena.counters().mapped, 4999U);
  EXPECT_EQ(arena.promise(4000), 0);
  EXPECT_EQ(take_all(arena, 4000).size(), 4000U);
}

TEST_F(stack_arena_test, a_guard_of_no_bytes_is_no_guard) {
  stack_arena arena(16 * kib, 0);
  ASSERT_EQ(arena.promise(100), 0);
  const auto stacks = take_all(arena, 100);
  EXPECT_FALSE(arena.in_guard(stacks[1], stacks[1].bottom - 1));
  EXPECT_TRUE(readable(stacks[1].bottom - 1));
}

// Each system call of a promise fails once: it is reported, nothing is promised, nothing leaks,
// and the next promise works.
TEST_F(stack_arena_test, every_nth_failure_is_clean) {
  struct failing {
    faulty_call call;
    bool refuse;
  };
  constexpr std::size_t count = 300;
  for (const failing each :
       {failing{faulty_call::mmap, false}, failing{faulty_call::madvise, false},
        failing{faulty_call::mprotect, true}}) {
    refuse_guard_install(each.refuse);
    const std::size_t before = address_space_bytes();
    for (std::uint64_t nth = 1;; ++nth) {
      stack_arena arena(16 * kib, 4 * kib);
      base::fail_nth(each.call, nth, ENOMEM);
      const int error = arena.promise(count);
      const bool reached = base::calls_made(each.call) >= nth;
      base::fail_nth(each.call, 0, 0);
      const bool guarded = arena.counters().mapped >= count;
      EXPECT_EQ(error, guarded ? 0 : ENOMEM) << nth;
      EXPECT_EQ(arena.counters().promised, error == 0 ? count : 0) << nth;
      if (error != 0) {
        ASSERT_EQ(arena.promise(count), 0) << nth;
      }
      const auto stacks = take_all(arena, count);
      ASSERT_EQ(stacks.size(), count);
      for (const stack& slot : stacks) ASSERT_FALSE(readable(slot.bottom - 1)) << nth;
      if (!reached) break;
    }
    EXPECT_LT(address_space_bytes(), before + 4096 * kib);
  }
}

TEST_F(stack_arena_test, slack_that_cannot_be_mapped_is_not_kept) {
  stack_arena arena(16 * kib, 4 * kib);
  ASSERT_EQ(arena.promise(64), 0);
  base::fail_from(faulty_call::mmap, 1, ENOMEM);
  EXPECT_EQ(arena.add_slack(100), ENOMEM);
  EXPECT_EQ(take_all(arena, 64).size(), 64U);
  arena.give_up(1);
  EXPECT_EQ(arena.promise(1), 0);
}

TEST_F(stack_arena_test, too_many_are_refused) {
  stack_arena arena(16 * kib, 4 * kib);
  EXPECT_EQ(arena.promise(std::size_t{1} << 40), ENOMEM);
  EXPECT_EQ(arena.promise(~std::size_t{0}), ENOMEM);
  EXPECT_EQ(arena.add_slack(~std::size_t{0}), ENOMEM);
  EXPECT_EQ(arena.counters().promised, 0U);
}

TEST_F(stack_arena_test, visits_the_touched_slots_up_to_a_bound) {
  stack_arena arena(16 * kib, 4 * kib);
  ASSERT_EQ(arena.promise(100), 0);
  const auto stacks = take_all(arena, 40);
  std::vector<std::uint32_t> seen;
  const auto visit = [](const stack& slot, void* list) {
    static_cast<std::vector<std::uint32_t>*>(list)->push_back(slot.slot);
    return true;
  };
  arena.for_each_touched_slot(visit, &seen, 1000);
  EXPECT_EQ(seen.size(), 40U);
  seen.clear();
  arena.for_each_touched_slot(visit, &seen, 10);
  EXPECT_EQ(seen.size(), 10U);
}

// Kernel threads promise, take, use, put and give up at once, with trims and growth on the way.
TEST_F(stack_arena_test, keeps_its_promises_to_many_kernel_threads) {
  stack_arena arena(16 * kib, 4 * kib);
  arena.set_warm_max(64);
  constexpr int threads = 4;
  constexpr int rounds = 200;
  std::vector<std::thread> all;
  for (int id = 0; id < threads; ++id) {
    all.emplace_back([&arena, id] {
      const auto mark = static_cast<std::byte>(id + 1);
      for (int round = 0; round < rounds; ++round) {
        const auto count = static_cast<std::size_t>((round * 7 + id * 131) % 700 + 1);
        ASSERT_EQ(arena.promise(count), 0);
        std::vector<stack> stacks(count);
        ASSERT_EQ(arena.take(stacks.data(), count), count);
        for (const stack& each : stacks) each.top[-1] = mark;
        for (const stack& each : stacks) ASSERT_EQ(each.top[-1], mark);
        arena.put(stacks.data(), count);
        arena.give_up(count);
      }
    });
  }
  for (auto& each : all) each.join();
  const stack_counters now = arena.counters();
  EXPECT_EQ(now.promised, 0U);
  EXPECT_EQ(now.taken, 0U);
  EXPECT_GT(now.trimmed, 0U);
  ASSERT_EQ(arena.promise(now.mapped), 0);
  const auto stacks = take_all(arena, now.mapped);
  EXPECT_EQ(stacks.size(), now.mapped) << "a slot was lost";
  std::set<std::uint32_t> distinct;
  for (const stack& each : stacks) distinct.insert(each.slot);
  EXPECT_EQ(distinct.size(), stacks.size()) << "a slot was given twice";
}

#if !defined(TREADLE_SANITIZED)  // a sanitizer adds shadow memory of its own
std::size_t status_bytes(const char* key) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  char line[256];
  std::size_t kilobytes = 0;
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::strncmp(line, key, std::strlen(key)) == 0) {
      std::sscanf(line + std::strlen(key), " %zu", &kilobytes);
    }
  }
  std::fclose(file);
  return kilobytes * kib;
}

TEST_F(stack_arena_test, a_parked_slot_costs_one_page_and_its_page_table) {
  stack_arena arena(64 * kib, 4 * kib);
  constexpr std::size_t count = 20000;
  const std::size_t resident = status_bytes("VmRSS:");
  const std::size_t tables = status_bytes("VmPTE:");
  ASSERT_EQ(arena.promise(count), 0);
  const auto stacks = take_all(arena, count);
  for (const stack& each : stacks) each.top[-1] = std::byte{1};
  const std::size_t cost =
      status_bytes("VmRSS:") - resident + status_bytes("VmPTE:") - tables - count * sizeof(stack);
  EXPECT_LE(cost / count, 4300U);
}
#endif

}  // namespace
}  // namespace treadle::context
