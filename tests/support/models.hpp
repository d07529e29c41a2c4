// What the typed conformance suite runs over: one test text, five models.
//
// The fixture holds a fresh runtime for each test; in() runs a function as a thread of it. Waits
// are for conditions, through eventually(): no test here looks at how long something took.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <treadle/runtime.hpp>
#include <treadle/thread.hpp>
#include <utility>

namespace treadle::testing_support {

template <model Model, unsigned Width>
struct configuration {
  static constexpr treadle::model kind = Model;
  static constexpr unsigned width = Width;

  static runtime_options options() {
    runtime_options wanted;
    wanted.model = Model;
    if (Model == model::many_to_many) wanted.width = Width;
    return wanted;
  }
};

using every_model =
    ::testing::Types<configuration<model::many_to_one, 1>, configuration<model::one_to_one, 0>,
                     configuration<model::many_to_many, 1>, configuration<model::many_to_many, 2>,
                     configuration<model::many_to_many, 4>>;

struct model_names {
  template <class Configuration>
  static std::string GetName(int) {
    switch (Configuration::kind) {
      case model::many_to_one:
        return "many_to_one";
      case model::one_to_one:
        return "one_to_one";
      case model::many_to_many:
        break;
    }
    return "many_to_many_" + std::to_string(Configuration::width);
  }
};

template <class Configuration>
class in_model : public ::testing::Test {
 public:
  static constexpr treadle::model kind = Configuration::kind;
  static constexpr bool own_kernel_threads = kind == model::one_to_one;

  template <class F>
  decltype(auto) in(F&& f) {
    return runtime_.run(std::forward<F>(f));
  }

  // Where nobody preempts, who computes stops all others on its processor.
  bool preempts() const {
    if (kind != model::many_to_many) return own_kernel_threads;
    return runtime_.activation().preempts;
  }
  // Where nobody sees blocked workers, a call that blocks unannounced does.
  bool sees_blocked() const {
    if (kind != model::many_to_many) return own_kernel_threads;
    return runtime_.activation().level != core::activation_level::off;
  }

  // Where io_uring is asked for, the suite is not about epoll.
  void SetUp() override {
    if (const int error = runtime_.socket_events_refusal()) {
      GTEST_SKIP() << "the kernel refuses io_uring: " << std::strerror(error);
    }
  }

 protected:
  runtime runtime_{Configuration::options()};
};

// For what ends the process. The runtime is made in the child, where a forked copy of a running one
// would have no kernel threads. GoogleTest runs suites first whose names end in DeathTest.
template <class Configuration>
class in_model_of_child : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  template <class F>
  static void in(F f) {
    runtime one(Configuration::options());
    one.run(f);
  }

  // In a thread that is called culprit.
  template <class F>
  static void in_culprit(F f) {
    in([&f] {
      thread t({.name = "culprit"}, f);
      t.join();
    });
  }
};

// Bulk sizes: instrumented builds are ten to fifty times slower; kernel threads are dear.
constexpr std::size_t scaled(std::size_t full, bool own_kernel_threads = false) {
  std::size_t size = full;
#if defined(TREADLE_TSAN)
  size = full / 20;  // guess: keeps one test under some seconds
#elif defined(TREADLE_ASAN)
  size = full / 5;
#endif
  if (own_kernel_threads) size = size / 5;
  return size < 2 ? 2 : size;
}

// Gives way until the condition holds. For conditions that another thread will make true.
template <class Condition>
void eventually(Condition condition) {
  while (!condition()) this_thread::yield();
}

}  // namespace treadle::testing_support
