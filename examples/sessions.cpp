// Two hundred sessions share eight connections, and a reporter watches until it is told to stop.
//
// A counting semaphore is the pool, a latch lets all sessions begin together, a stop token ends
// the reporter in the middle of its sleep, and thread_specific counts each session's own calls.
#include <treadle/treadle.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

constexpr int sessions = 200;
constexpr int connections = 8;
constexpr int calls = 5;

// How many connections are in use, and the most there have been.
class usage {
 public:
  void enter() {
    const treadle::lock_guard lock(guard_);
    most_ = std::max(most_, ++now_);
  }
  void leave() {
    const treadle::lock_guard lock(guard_);
    --now_;
    ++done_;
  }
  int most() {
    const treadle::lock_guard lock(guard_);
    return most_;
  }
  int done() {
    const treadle::lock_guard lock(guard_);
    return done_;
  }

 private:
  treadle::mutex guard_;
  // Guarded by guard_.
  int now_ = 0;
  int most_ = 0;
  int done_ = 0;
};

// Sleeps like sleep_for(), but a stop request ends it; false when it was stopped.
bool sleep_unless_stopped(const treadle::stop_token& stop, std::chrono::milliseconds time) {
  treadle::mutex guard;
  treadle::condition_variable_any never;
  treadle::unique_lock lock(guard);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

int main() {
  treadle::counting_semaphore<connections> pool(connections);
  treadle::latch begin(sessions);
  treadle::thread_specific<int> own_calls;
  usage used;

  treadle::jthread reporter([&](const treadle::stop_token& stop) {
    while (sleep_unless_stopped(stop, std::chrono::seconds(10))) {
      std::printf("%d calls so far\n", used.done());
    }
  });

  std::vector<treadle::thread> threads;
  threads.reserve(sessions);
  for (int i = 0; i < sessions; ++i) {
    threads.emplace_back(treadle::thread_attributes{.name = "session"}, [&] {
      begin.arrive_and_wait();
      while (own_calls.get() < calls) {
        pool.acquire();
        used.enter();
        treadle::this_thread::yield();  // here a real session would talk over its connection
        used.leave();
        pool.release();
        ++own_calls.get();
      }
    });
  }
  for (treadle::thread& thread : threads) thread.join();

  std::printf("%d calls, at most %d at a time\n", used.done(), used.most());
  return used.done() == sessions * calls && used.most() <= connections ? 0 : 1;
}
