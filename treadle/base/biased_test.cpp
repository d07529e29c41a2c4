// The restartable compare-and-swap against revocation, interruption and strangers.
//
// What must hold: no increment is lost, whoever does it and whatever interrupts it. The tests
// force the two dangerous moments: another party entering while the one that is alone is in the
// middle of a sequence, and signals that interrupt it.
#include "treadle/base/biased.hpp"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <csignal>
#include <thread>
#include <vector>

#include "treadle/base/solo.hpp"

namespace treadle::base {
namespace {

void add_one(biased<std::uint64_t>& word) {
  std::uint64_t seen = word.load(relaxed);
  while (!word.compare_exchange_weak(seen, seen + 1, acq_rel, relaxed)) {
  }
}

class alarm_storm {
 public:
  alarm_storm() {
    struct sigaction ignore {};
    ignore.sa_handler = [](int) {};
    ignore.sa_flags = SA_RESTART;
    ::sigaction(SIGALRM, &ignore, &before_);
    // Guess: as dense as the kernel's timer allows without starving the test.
    const itimerval often{{0, 100}, {0, 100}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~alarm_storm() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_ {};
};

TEST(Biased, CountsAlone) {
  const alarm_storm storm;
  biased<std::uint64_t> word(0);
  std::thread alone([&] {
    enter_party(true);
    for (int i = 0; i < 2'000'000; ++i) add_one(word);
    leave_party();
  });
  alone.join();
  EXPECT_EQ(word.load(relaxed), 2'000'000u);
}

TEST(Biased, IsAloneWhereTheKernelAllowsIt) {
  std::thread alone([] {
    enter_party(true);
#if defined(TREADLE_BIASED)
    if (treadle_rseq_cs_offset != 0) {
      EXPECT_EQ(treadle_party.mode, party_alone);
    }
#else
    EXPECT_EQ(treadle_party.mode, party_shared);
#endif
    std::thread second([] {
      enter_party(false);
      EXPECT_EQ(treadle_party.mode, party_shared);
      leave_party();
    });
    second.join();
    leave_party();
    EXPECT_EQ(treadle_party.mode, party_stranger);
  });
  alone.join();
}

TEST(Biased, LosesNothingWhenOthersComeAndGo) {
  const alarm_storm storm;
  constexpr int visits = 20'000;
  constexpr int adds_a_visit = 50;
  biased<std::uint64_t> word(0);
  atomic<bool> done{false};
  std::uint64_t mine = 0;
  std::thread alone([&] {
    enter_party(true);
    while (!done.load(acquire)) {
      add_one(word);
      ++mine;
    }
    leave_party();
  });
  std::vector<std::thread> visitors;
  for (int v = 0; v < 2; ++v) {
    visitors.emplace_back([&] {
      for (int i = 0; i < visits; ++i) {
        enter_party(false);
        for (int k = 0; k < adds_a_visit; ++k) add_one(word);
        leave_party();
      }
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  done.store(true, release);
  alone.join();
  EXPECT_EQ(word.load(relaxed), mine + 2u * visits * adds_a_visit);
}

TEST(Biased, GoingAwayAndComingBackLosesNothing) {
  expect_candidates();
  constexpr int rounds = 50'000;
  biased<std::uint32_t> word(0);
  atomic<bool> done{false};
  std::uint32_t mine = 0;
  std::thread alone([&] {
    enter_party(true);
    while (!done.load(acquire)) {
      std::uint32_t seen = word.load(relaxed);
      while (!word.compare_exchange_strong(seen, seen + 1, acq_rel, relaxed)) {
      }
      ++mine;
    }
    leave_party();
  });
  std::thread sleeper([&] {
    enter_party(false);
    for (int i = 0; i < rounds; ++i) {
      std::uint32_t seen = word.load(relaxed);
      while (!word.compare_exchange_strong(seen, seen + 1, acq_rel, relaxed)) {
      }
      if (go_away()) come_back();
    }
    leave_party();
  });
  sleeper.join();
  done.store(true, release);
  alone.join();
  EXPECT_EQ(word.load(relaxed), mine + rounds);
}

TEST(Biased, AStrangerIsGreetedFirst) {
  static atomic<int> greeted{0};
  greeted.store(0, relaxed);
  set_stranger_hook([]() noexcept {
    greeted.fetch_add(1, relaxed);
    enter_party(false);
  });
  biased<std::uint64_t> word(0);
  std::thread stranger([&] {
    add_one(word);
    add_one(word);
    leave_party();
  });
  stranger.join();
  set_stranger_hook(nullptr);
  EXPECT_EQ(word.load(relaxed), 2u);
#if defined(TREADLE_BIASED)
  EXPECT_EQ(greeted.load(relaxed), 1);
#endif
}

TEST(Biased, ReportsWhatItSawWhenItDiffers) {
  biased<std::uint64_t> word(7);
  std::uint64_t expected = 5;
  EXPECT_FALSE(word.compare_exchange_strong(expected, 9, acq_rel, relaxed));
  EXPECT_EQ(expected, 7u);
  EXPECT_TRUE(word.compare_exchange_strong(expected, 9, acq_rel, relaxed));
  EXPECT_EQ(word.load(relaxed), 9u);
}

}  // namespace
}  // namespace treadle::base
