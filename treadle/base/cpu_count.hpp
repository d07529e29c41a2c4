// Counters with a cell for each CPU: to count costs one plain addition, also where many CPUs do it.
//
// A column is a counter; its cells lie a page apart, for each CPU one that counts up and one that
// counts down, and their sum is the count. (Two, because a step then waits for the last but one:
// 3.0 ns for both instead of 5.6, measured on Sapphire Rapids.) Only the kernel thread
// that runs on a CPU touches that CPU's cells, by a restartable sequence: read the word that names
// the column, read the CPU's number, add. If the kernel preempts, signals or migrates it before the
// addition, it starts again.
// Columns are lent to an object for as long as it is counted in: it publishes the column in a word,
// and takes it back in three steps: clear the word, end_count(), which makes all kernel threads
// start such sequences again, so that nobody will add who has read the word before, and use the
// sum.
// Who may call: any kernel thread, known to the runtime or not.
// Without rseq or membarrier (an old kernel, a sandbox, valgrind), on other CPUs than x86-64 and in
// sanitizer builds there are no columns, and count_here() says no.
// Rejected: an array of cells in each object (a large one, or a size that depends on the machine);
// cells of kernel threads (somebody must look through all of them, and they come and go).
// Source: rseq(2); Linux, lib/percpu-refcount.c, for counts that are summed up only when it
// matters.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/solo.hpp"

#if defined(__x86_64__) && !defined(TREADLE_SANITIZED)
#define TREADLE_CPU_COUNT 1
#endif

extern "C" {
// Rows of cells. Fixed before the first column is lent.
extern std::uint32_t treadle_cpu_rows __attribute__((visibility("default")));
}

namespace treadle::base {

// The address of the first CPU's cell; 0: none.
using cpu_column = std::uintptr_t;

// 0 when there is none to be had; its cells are 0.
[[nodiscard]] cpu_column lend_cpu_column() noexcept;
// What the cells add up to now: exact when nobody counts.
[[nodiscard]] std::int64_t sum_of(cpu_column column) noexcept;
// After its word was cleared: waits until nobody counts by it, and gives it back. The sum.
[[nodiscard]] std::int64_t end_count(cpu_column column) noexcept;
// The same where nobody can count any more.
std::int64_t drop_count(cpu_column column) noexcept;

#if defined(TREADLE_CPU_COUNT)
// 12: the bytes of a row (cpu_count.cpp) as a shift. A kernel thread that never registered has a
// number beyond all rows. For the rest see biased.hpp.
#define TREADLE_COUNT_HERE(what)                                                             \
  asm goto(                                                                                  \
      ".pushsection __rseq_cs, \"aw?\"\n\t"                                                  \
      ".balign 32\n"                                                                         \
      "3:\t.long 0, 0\n\t"                                                                   \
      ".quad 1f, 2f - 1f, 4f\n\t"                                                            \
      ".popsection\n\t"                                                                      \
      ".pushsection __rseq_failure, \"ax?\"\n\t"                                             \
      ".byte 0x0f, 0xb9, 0x3d\n\t"                                                           \
      ".long 0x53053053\n"                                                                   \
      "4:\tjmp 5f\n\t"                                                                       \
      ".popsection\n"                                                                        \
      "5:\tleaq 3b(%%rip), %%rax\n\t"                                                        \
      "movq %[offset], %%rcx\n\t"                                                            \
      "movq %%rax, %%fs:(%%rcx)\n"                                                           \
      "1:\tmovq %[word], %%rax\n\t"                                                          \
      "testq %%rax, %%rax\n\t"                                                               \
      "je %l[none]\n\t"                                                                      \
      "movl %%fs:-4(%%rcx), %%ecx\n\t"                                                       \
      "cmpl %[rows], %%ecx\n\t"                                                              \
      "jae %l[none]\n\t"                                                                     \
      "shlq $12, %%rcx\n\t" what                                                             \
      "(%%rax,%%rcx)\n"                                                                      \
      "2:\n"                                                                                 \
      :                                                                                      \
      : [offset] "m"(treadle_rseq_cs_offset), [word] "m"(word), [rows] "m"(treadle_cpu_rows) \
      : "rax", "rcx", "memory", "cc"                                                         \
      : none)
#endif

// Adds one to the calling CPU's cell of the column that the word names, or takes one away. False
// when it names none: nothing was counted. Acquire when it counts up, release when it counts down:
// x86 orders plain accesses so.
[[gnu::always_inline]] inline bool count_here([[maybe_unused]] const atomic<cpu_column>& word,
                                              [[maybe_unused]] bool up) noexcept {
#if defined(TREADLE_CPU_COUNT)
  if (up) {
    TREADLE_COUNT_HERE("incq ");
  } else {
    TREADLE_COUNT_HERE("decq 8");
  }
  return true;
none:
#endif
  return false;
}
#undef TREADLE_COUNT_HERE

}  // namespace treadle::base
