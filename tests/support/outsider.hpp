// A kernel thread that no runtime knows until it wakes somebody.
#pragma once

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>

namespace treadle::testing_support {

// A kernel thread that no runtime knows until it wakes somebody.
class outsider {
 public:
  outsider() : serves_([this] { serve(); }) {}
  ~outsider() {
    asked_.fetch_or(over);
    asked_.notify_one();
    serves_.join();
  }
  outsider(const outsider&) = delete;
  outsider& operator=(const outsider&) = delete;

  // Blocks until it has answered.
  void ask(unsigned number) {
    const std::lock_guard turn(turn_);
    asked_.store(number);
    asked_.notify_one();
    answered_.acquire();
  }

 private:
  static constexpr unsigned over = 1U << 31;

  void serve() {
    for (;;) {
      asked_.wait(0);
      const unsigned number = asked_.exchange(0);
      if ((number & over) != 0) return;
      if (number % 2 == 0) ::usleep(number % 32);
      answered_.release();
    }
  }

  std::atomic<unsigned> asked_{0};
  mutex turn_;
  binary_semaphore answered_{0};
  std::thread serves_;
};

}  // namespace treadle::testing_support
