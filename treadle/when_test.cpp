// Every interleaving, within a bound on preemptions, of who gathers futures, who provides for them
// and who runs a deferred one among them. Parking is the explorer's.
//
// Checked: the outcome comes once and in time, all of its futures or the first are ready then, and
// the outcome and each future are freed once, by the last holder, and not touched after that: the
// watcher of a future may be the last to hold both.
#include "treadle/when.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <new>
#include <type_traits>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/future_state_impl.hpp"
#include "treadle/sync/raw_result_impl.hpp"

namespace treadle::detail {
namespace {

using interleave::explore;
using interleave::require;
using interleave::verdict;
using ground = interleave::explored_ground<interleave::watched_atomic>;

class input_state : public basic_result_state<int, ground> {
 public:
  input_state() = default;
  explicit input_state(int) : basic_result_state(call::deferred) {}

  void give() {
    provide([this]() noexcept { make_value(1); });
  }
  bool is_freed = false;

 private:
  void dispose() noexcept override {
    require(!is_freed, "freed twice");
    is_freed = true;
    ground::end_life_of(*this);
  }
  void run_deferred() override {
    if (!begin_call()) return;
    make_value(1);
    publish();
  }
};

// What when_all() and when_any() are given.
struct inputs {
  std::array<input_state*, 2> each;
};
basic_future_state<ground>& state_at(inputs& all, std::size_t index) { return *all.each[index]; }

using all_of = all_state<inputs, ground>;
using any_of = any_state<inputs, ground>;

// Broken on purpose: what is no longer deferred at the second look was watched at the first.
class forgetful : public gathering_state<forgetful, when_any_result<inputs>, ground> {
 public:
  forgetful(inputs all, std::size_t count) : gathering_state(count) {
    make_value(when_any_result<inputs>{0, all});
  }
  void gather() {
    for (std::size_t i = 0; i < count_; ++i) {
      auto& input = state_at(value().futures, i);
      if (!input.is_deferred() && !watch(i, input)) note_ready(i);
    }
    for (std::size_t i = 0; i < count_; ++i) {
      auto& input = state_at(value().futures, i);
      if (!input.is_deferred()) continue;
      input.wait();
      note_ready(i);
    }
  }

 private:
  friend gathering_state;
  void note_ready(std::size_t) noexcept { publish(); }
};

template <class Gathering, std::size_t Count>
class outcome_state : public Gathering {
 public:
  explicit outcome_state(inputs of) : Gathering(of, Count), of_(of) {}

  void let_go_of_inputs() {
    for (std::size_t i = 0; i < Count; ++i) of_.each[i]->release();
  }
  bool is_taken = false;
  bool is_freed = false;

 private:
  void dispose() noexcept override {
    require(!is_freed, "freed twice");
    is_freed = true;
    ground::end_life_of(*this);
    if (!is_taken) let_go_of_inputs();
  }

  const inputs of_;
};

// Gathers Count inputs, of which the first Deferred are deferred calls; all of them twice the same
// when `Same`. Others hold each input, too: its promise, or who shares the future.
template <class Gathering, std::size_t Count, std::size_t Deferred = 0, bool Same = false>
struct state {
  using outcome = outcome_state<Gathering, Count>;

  state() {
    ground::reset();
    inputs all{};
    for (std::size_t i = 0; i < Count; ++i) {
      if (Same && i != 0) {
        all.each[i] = all.each[0];
      } else {
        all.each[i] =
            i < Deferred ? ::new (memory_of[i]) input_state(0) : ::new (memory_of[i]) input_state;
      }
      all.each[i]->share();
    }
    ::new (memory) outcome(all);
  }
  ~state() {
    it().~outcome();
    for (std::size_t i = 0; i < (Same ? 1 : Count); ++i) at(i).~input_state();
  }
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  outcome& it() { return *std::launder(reinterpret_cast<outcome*>(memory)); }
  input_state& at(std::size_t i) {
    return *std::launder(reinterpret_cast<input_state*>(memory_of[i]));
  }

  void wait() {
    it().wait();
    ground::end_wait();
  }
  void check_outcome() {
    if constexpr (std::is_same_v<Gathering, all_of>) {
      for (std::size_t i = 0; i < Count; ++i)
        require(it().value().each[i]->is_ready(), "too early");
    } else {
      const std::size_t first = it().value().index;
      require(first < Count, "nobody is first");
      require(it().value().futures.each[first]->is_ready(), "the first is not ready");
    }
  }
  void gather_and_take() {
    it().gather();
    wait();
    check_outcome();
    it().is_taken = true;
    if (interleave::choose(2) == 0) {
      it().release();
      it().let_go_of_inputs();
    } else {
      it().let_go_of_inputs();
      it().release();
    }
  }
  void gather_and_drop() {
    it().gather();
    it().release();
  }
  template <std::size_t I>
  void give() {
    at(I).give();
    at(I).release();
  }
  // Another holder of a deferred one.
  void run() {
    at(0).wait();
    ground::end_wait();
    at(0).release();
  }
  void check_end() {
    require(it().is_freed, "the outcome is not freed");
    for (std::size_t i = 0; i < (Same ? 1 : Count); ++i) {
      require(at(i).is_freed, "an input is not freed");
    }
  }

  alignas(outcome) std::byte memory[sizeof(outcome)];
  alignas(input_state) std::byte memory_of[Count][sizeof(input_state)];
};

template <class State>
verdict explored(std::vector<std::function<void(State&)>> threads, unsigned preemptions) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = false;  // the books of a state are not the explorer's words
  return explore<State>(bounds, threads, [](State& s) { s.check_end(); });
}
template <class State>
void expect_good(std::vector<std::function<void(State&)>> threads, unsigned preemptions) {
  const verdict v = explored<State>(threads, preemptions);
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

constexpr auto gather_and_take = [](auto& s) { s.gather_and_take(); };
constexpr auto gather_and_drop = [](auto& s) { s.gather_and_drop(); };
constexpr auto give_first = [](auto& s) { s.template give<0>(); };
constexpr auto give_second = [](auto& s) { s.template give<1>(); };
constexpr auto run = [](auto& s) { s.run(); };

template <class Gathering>
class WhenAllAndAny : public ::testing::Test {};
using gatherings = ::testing::Types<all_of, any_of>;
TYPED_TEST_SUITE(WhenAllAndAny, gatherings, );

TYPED_TEST(WhenAllAndAny, TheOutcomeComesOnceAndIsTaken) {
  expect_good<state<TypeParam, 1>>({gather_and_take, give_first}, 5);
  expect_good<state<TypeParam, 2>>({gather_and_take, give_first, give_second}, 2);
}

TYPED_TEST(WhenAllAndAny, WhoDropsTheOutcomeLeavesNothing) {
  expect_good<state<TypeParam, 1>>({gather_and_drop, give_first}, 5);
  expect_good<state<TypeParam, 2>>({gather_and_drop, give_first, give_second}, 2);
}

TYPED_TEST(WhenAllAndAny, OneMayBeGivenTwice) {
  expect_good<state<TypeParam, 2, 0, true>>({[](auto& s) { s.gather_and_take(); },
                                             [](auto& s) {
                                               s.at(0).give();
                                               s.at(0).release();
                                             }},
                                            4);
}

TYPED_TEST(WhenAllAndAny, ADeferredOneMayBeRunByAnotherHolder) {
  expect_good<state<TypeParam, 1, 1>>({gather_and_take, run}, 5);
  expect_good<state<TypeParam, 1, 1>>({gather_and_drop, run}, 5);
  expect_good<state<TypeParam, 2, 1>>({gather_and_take, run, give_second}, 2);
}

TEST(When, WhoForgetsOneIsCaught) {
  using one_deferred = state<forgetful, 1, 1>;
  EXPECT_TRUE(
      explored<one_deferred>({gather_and_take, [](auto& s) { s.at(0).release(); }}, 5).good());
  EXPECT_FALSE(explored<one_deferred>({gather_and_take, run}, 5).good());
}

}  // namespace
}  // namespace treadle::detail
