// A worker that comes back from the kernel while another lets go of its processor for it:
// `back_from_kernel_test [ROUNDS]`.
//
// The worker goes idle at once, and is to be woken from outside; nobody else would see that it is
// not. The moment is short: several runtimes on one CPU get in each other's way, so that somebody
// mostly stands still in the middle of it. A wake-up that is lost is a hang, as in half of the runs
// of forty rounds before only holders lay down (many_to_many_hand_over.cpp).
#include <gtest/gtest.h>

#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <thread>
#include <treadle/treadle.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/one_processor.hpp"
#include "tests/support/outsider.hpp"

namespace treadle {
namespace {

int rounds = 12;  // guess: some seconds; hundreds by hand

// Each blocks for as long as it takes to be found, in the median, and then waits.
void block_and_ask(unsigned threads, unsigned least, unsigned span) {
  testing_support::outsider outside;
  runtime tried(testing_support::one_processor(activation::perf));
  tried.run([&] {
    std::vector<thread> all;
    for (unsigned k = 0; k < threads; ++k) {
      all.emplace_back([&outside, k, least, span] {
        for (unsigned i = 0; i < testing_support::scaled(300); ++i) {
          ::usleep(least + (i + k) % span);
          outside.ask(1);
        }
      });
    }
    for (thread& one : all) one.join();
  });
}

TEST(BackFromKernel, IdleAtOnce) {
  // The kernel lets sleeps last 50 us longer than asked for.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  for (int i = 0; i < rounds; ++i) {
    std::thread second([] { block_and_ask(3, 60, 60); });
    std::thread third([] { block_and_ask(8, 10, 100); });
    block_and_ask(2, 20, 40);
    second.join();
    third.join();
  }
  ::sched_setaffinity(0, sizeof(before), &before);
}

}  // namespace
}  // namespace treadle

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) treadle::rounds = std::atoi(argv[1]);
  return RUN_ALL_TESTS();
}
