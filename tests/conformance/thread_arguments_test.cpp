// How threads take their callables and arguments, in every model: copied or moved once, by the
// thread that makes them.
#include <gtest/gtest.h>

#include <treadle/future.hpp>
#include <treadle/thread.hpp>
#include <utility>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class ThreadArguments : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ThreadArguments, every_model, model_names);

// Made from anything, but only when that is said.
struct explicit_from_all {
  explicit_from_all() = default;
  template <class From>
  explicit explicit_from_all(From& from) : made_from(&from) {}
  explicit_from_all(const explicit_from_all&) = default;
  explicit_from_all(explicit_from_all&&) = default;
  void operator()() const {}
  const void* made_from = nullptr;
};

TYPED_TEST(ThreadArguments, CopiesMayBeExplicit) {
  this->in([] {
    explicit_from_all f;
    thread(f).join();
    const void* made_from = nullptr;
    thread([&](const explicit_from_all& argument) { made_from = argument.made_from; }, f).join();
    EXPECT_EQ(made_from, &f);
    jthread([](const explicit_from_all& argument) { static_cast<void>(argument); }, f).join();
  });
}

// Notes how often it was copied and moved on the way, and where.
struct travelled {
  travelled() = default;
  travelled(const travelled& other) : copies(other.copies + 1), moves(other.moves) {
    EXPECT_EQ(made_in, this_thread::get_id());
  }
  travelled(travelled&& other) noexcept : copies(other.copies), moves(other.moves + 1) {
    EXPECT_EQ(made_in, this_thread::get_id());
  }
  void operator()(const travelled& argument) const {
    EXPECT_EQ(copies + moves, 1);
    EXPECT_EQ(argument.copies + argument.moves, 1);
  }
  thread::id made_in = this_thread::get_id();
  int copies = 0;
  int moves = 0;
};

TYPED_TEST(ThreadArguments, CallableAndArgumentsAreCopiedOrMovedOnce) {
  this->in([] {
    travelled f;
    thread(f, f).join();
    thread(f, std::move(f)).join();
    jthread(f, f).join();
    jthread(
        [](const stop_token& own, const travelled& it) {
          EXPECT_TRUE(own.stop_possible());
          EXPECT_EQ(it.copies + it.moves, 1);
        },
        f)
        .join();
    treadle::async(launch::async, f, f).get();
    treadle::async(launch::deferred, f, f).get();
  });
}

}  // namespace
}  // namespace treadle
