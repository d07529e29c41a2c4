// The context switch by itself: three contexts that keep integers and doubles in registers over
// 300,000 switches. Built for AArch64 by switch_test.sh and run under emulation.
#include "treadle/context/switch.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using treadle::context::resume_point;

constexpr int contexts = 3;
constexpr int stack_bytes = 64 * 1024;
alignas(16) std::byte stacks[contexts][stack_bytes];
resume_point stopped[contexts];
resume_point home;
long resumes = 0;

void body(std::uintptr_t message) {
  const auto mine = static_cast<int>(message);
  long a = mine;
  long b = 7L * mine;
  double x = mine + 0.5;
  double y = 2.25 * mine;
  for (;;) {
    a += 1;
    b += 7;
    x += 1;
    y += 2;
    const std::uintptr_t got = treadle::context::jump(stopped[mine], home, message + 10);
    if (got != message || b != 7 * a || y != 2.25 * mine + 2 * (x - mine - 0.5)) std::abort();
    ++resumes;
  }
}

}  // namespace

int main() {
  for (int i = 0; i < contexts; ++i) {
    stopped[i] = treadle::context::make_frame(stacks[i] + stack_bytes, &body);
  }
  for (int i = 0; i < 300'000; ++i) {
    const auto which = static_cast<std::uintptr_t>(i % contexts);
    const resume_point there = stopped[which];
    if (treadle::context::jump(home, there, which) != which + 10) std::abort();
  }
  std::printf("%ld resumes\n", resumes);
  return resumes == 300'000 - contexts ? 0 : 1;
}
