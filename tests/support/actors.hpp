// Two that meet at one object: {thread, task, foreign kernel thread} on each side, in every model.
#pragma once

#include <functional>
#include <thread>
#include <treadle/co.hpp>
#include <utility>

#include "tests/support/models.hpp"

namespace treadle::testing_support {

enum class party { thread, task, foreign };
constexpr party parties[] = {party::thread, party::task, party::foreign};

// Runs the same thing as a thread, as a task or on a foreign kernel thread.
class actor {
 public:
  actor(party kind, std::function<void()> blocking, std::function<task<>()> awaiting) {
    switch (kind) {
      case party::thread:
        thread_ = thread(std::move(blocking));
        break;
      case party::task:
        handle_ = spawn(as_task(std::move(awaiting)));
        break;
      case party::foreign:
        foreign_ = std::thread(std::move(blocking));
        break;
    }
  }
  void join() {
    if (thread_.joinable()) thread_.join();
    if (handle_.joinable()) handle_.join();
    if (foreign_.joinable()) foreign_.join();
  }

 private:
  static task<> as_task(std::function<task<>()> make) { co_await make(); }

  thread thread_;
  task_handle<> handle_;
  std::thread foreign_;
};

template <class Model>
class with_actors : public in_model<Model> {
 public:
  // From the test's own kernel thread, so that foreign ones can be joined without stopping a model.
  template <class F>
  void for_each_pair(F f) {
    this->in([] {});
    for (const party left : parties) {
      for (const party right : parties) f(left, right);
    }
  }
  template <class... Args>
  actor act(Args&&... args) {
    return this->in([&] { return actor(std::forward<Args>(args)...); });
  }
};

}  // namespace treadle::testing_support
