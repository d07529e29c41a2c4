// What every kind of condition variable must pass, with any lock that it takes. Inside a model.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <treadle/this_thread.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle::testing_support {

// Two take turns.
template <class Condition, class Mutex>
void play_ping_pong(std::size_t rounds) {
  Mutex m;
  Condition changed;
  std::size_t turn = 0;
  const auto play = [&](std::size_t me) {
    for (std::size_t i = 0; i < rounds; ++i) {
      std::unique_lock<Mutex> hold(m);
      while (turn % 2 != me) changed.wait(hold);
      ++turn;
      changed.notify_one();
    }
  };
  thread other(play, 1);
  play(0);
  other.join();
  EXPECT_EQ(turn, 2 * rounds);
}

// Time-outs race with notifications: a ticket may reach only waiters that really take it.
// `patient` of the `waiters` never give up in the time of the test.
template <class Condition, class Mutex>
void lose_no_ticket(std::size_t tickets_in_all, unsigned waiters, unsigned patient) {
  Mutex m;
  Condition changed;
  std::size_t tickets = 0;
  std::size_t served = 0;
  std::vector<thread> threads;
  for (unsigned t = 0; t < waiters; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0;; ++i) {
        std::unique_lock<Mutex> hold(m);
        if (served == tickets_in_all) return;
        const auto patience = std::chrono::microseconds(t < patient ? 1'000'000 : (i * 7 + t) % 25);
        if (!changed.wait_for(hold, patience,
                              [&] { return tickets > 0 || served == tickets_in_all; })) {
          continue;
        }
        if (tickets == 0) return;
        --tickets;
        if (++served == tickets_in_all) changed.notify_all();
      }
    });
  }
  for (std::size_t i = 0; i < tickets_in_all; ++i) {
    {
      const std::lock_guard<Mutex> hold(m);
      ++tickets;
    }
    changed.notify_one();
    if (i % 10 == 0) this_thread::yield();
  }
  for (thread& t : threads) t.join();
  EXPECT_EQ(served, tickets_in_all);
}

// The standard: it may be destroyed as soon as all waiters were notified, returned or not.
template <class Condition, class Mutex>
void destroy_right_after_notify_all(int waiters) {
  Mutex m;
  auto changed = std::make_unique<Condition>();
  int waiting = 0;
  bool go = false;
  std::vector<thread> threads;
  for (int i = 0; i < waiters; ++i) {
    threads.emplace_back([&] {
      std::unique_lock<Mutex> hold(m);
      ++waiting;
      while (!go) changed->wait(hold);
    });
  }
  eventually([&] {
    const std::lock_guard<Mutex> hold(m);
    return waiting == waiters;
  });
  {
    const std::lock_guard<Mutex> hold(m);
    go = true;
    changed->notify_all();
  }
  changed.reset();
  for (thread& t : threads) t.join();
}

}  // namespace treadle::testing_support
