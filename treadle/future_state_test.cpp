// Every interleaving, within a bound on preemptions, of who provides for a state, who waits for it
// and who lets go of it. Parking is the explorer's.
//
// Checked: the value is that of the one provider that succeeded, a deferred call runs once, nobody
// sleeps for ever or goes on too early, and the state is freed once, by its last holder, and not
// touched after that: neither by who published the outcome, nor by who provided in vain. An
// exception is never under way over an operation: a value that could not be made is given back by
// the call that does it.
#include "treadle/future_state.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
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

class explored_state : public basic_result_state<int, ground> {
 public:
  explored_state() = default;
  explicit explored_state(bool begins) : basic_result_state(call::deferred), begins_(begins) {}

  // What promise and packaged_task do by their own calls.
  void claim_in_vain() {
    claim();
    give_back();
  }
  void run(int gives) {
    claim_for_call();
    make_value(gives);
    publish();
  }
  void run_badly(int gives) {
    run(gives);
    static_cast<void>(is_ready());
  }

  int freed = 0;
  int calls = 0;

 private:
  void dispose() noexcept override {
    ++freed;
    ground::gone = true;
  }
  void run_deferred() override {
    if (begins_ && !begin_call()) return;
    require(++calls == 1, "called twice");
    make_value(1);
    publish();
  }

  bool begins_ = true;
};

template <int Holders, int Kind>
struct state {
  enum : int { provided = 0, deferred = 1, deferred_by_all = 2 };

  state() {
    ground::reset();
    Kind == provided ? ::new (memory) explored_state
                     : ::new (memory) explored_state(Kind == deferred);
    for (int i = 1; i < Holders; ++i) it().share();
  }
  ~state() { it().~explored_state(); }
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  explored_state& it() { return *std::launder(reinterpret_cast<explored_state*>(memory)); }

  // False when another one has provided.
  bool claims(std::function<void()> provides) {
    bool has = true;
    try {
      provides();
    } catch (const std::future_error&) {
      has = false;
    }
    if (has) ++outcomes;
    return has;
  }
  bool provide(int value) {
    return claims([&] { it().provide([&]() noexcept { it().make_value(value); }); });
  }
  // The value's constructor throws.
  void provide_in_vain() {
    claims([&] {
      it().claim_in_vain();
      --outcomes;
    });
  }
  bool run(int gives) {
    return claims([&] { it().run(gives); });
  }
  void got(int value) {
    ground::end_wait();
    require(it().value() == value, "another value");
  }
  void wait(int value) {
    it().wait();
    got(value);
  }
  bool wait_in_time() {
    const bool ready = it().wait(base::deadline::at(1));
    ground::end_wait();
    return ready;
  }
  void let_go() { it().release(); }

  alignas(explored_state) std::byte memory[sizeof(explored_state)];
  int outcomes = 0;
};

template <class State>
verdict explored(std::vector<std::function<void(State&)>> threads, unsigned preemptions) {
  interleave::options bounds;
  bounds.preemptions_max = preemptions;
  bounds.sleep_sets = false;  // the books of a state are not the explorer's words
  return explore<State>(bounds, threads, [](State& s) {
    require(s.it().freed == 1, "not freed, or twice");
    require(s.outcomes <= 1, "two have provided");
  });
}
template <class State>
void expect_good(std::vector<std::function<void(State&)>> threads, unsigned preemptions) {
  const verdict v = explored<State>(threads, preemptions);
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

// The promise's share and one future's.
using two = state<2, 0>;
constexpr auto wait_and_free = [](auto& s) {
  s.wait(1);
  s.let_go();
};
// The waiter destroys the promise, too, which may be before set_value() has come back.
constexpr auto wait_and_free_both = [](auto& s) {
  s.wait(1);
  s.it().abandon();
  s.let_go();
  s.let_go();
};
constexpr auto provide = [](auto& s) { s.provide(1); };
constexpr auto provide_and_free = [](auto& s) {
  s.provide(1);
  s.let_go();
};

TEST(FutureState, WhoHasTheOutcomeMayFreeAll) {
  expect_good<two>({wait_and_free_both, provide}, interleave::unbounded);
  expect_good<two>({wait_and_free_both, [](two& s) { s.run(1); }}, interleave::unbounded);
  expect_good<two>({wait_and_free, provide_and_free}, interleave::unbounded);
  const auto poll_or_wait = [](auto& s) {
    if (!s.it().is_ready() && !s.wait_in_time()) s.it().wait();
    s.got(1);
    s.it().abandon();
    s.let_go();
    s.let_go();
  };
  expect_good<two>({poll_or_wait, provide}, 5);
}

TEST(FutureState, TheLastOfManyFreesIt) {
  using three = state<3, 0>;
  expect_good<three>({wait_and_free, wait_and_free, provide_and_free}, 3);
  expect_good<three>({wait_and_free,
                      [](three& s) {
                        s.wait_in_time();
                        s.let_go();
                      },
                      provide_and_free},
                     3);
}

TEST(FutureState, OfTwoProvidersOneSucceeds) {
  // Both hold it: two at once are two that use one promise.
  using three = state<3, 0>;
  expect_good<three>({wait_and_free, provide_and_free, provide_and_free}, 4);
  const auto run_and_free = [](auto& s) {
    s.run(1);
    s.let_go();
  };
  expect_good<three>({wait_and_free, run_and_free, run_and_free}, 3);
}

TEST(FutureState, WhoFailsLeavesItToTheOther) {
  using three = state<3, 0>;
  const auto in_vain = [](auto& s) {
    s.provide_in_vain();
    s.let_go();
  };
  expect_good<three>({in_vain, provide_and_free, wait_and_free}, 3);
  const auto in_vain_then_again = [](auto& s) {
    s.provide_in_vain();
    s.provide(1);
    s.let_go();
  };
  expect_good<three>({in_vain_then_again, in_vain_then_again, wait_and_free}, 3);
}

TEST(FutureState, WhoProvidesNothingBreaksThePromise) {
  const auto retrieve_and_abandon = [](two& s) {
    s.it().retrieve();
    s.it().abandon();
    s.let_go();
  };
  const auto wait = [](two& s) {
    s.it().wait();
    ground::end_wait();
    bool is_broken = false;
    try {
      s.it().rethrow_failure();
    } catch (const std::future_error&) {
      is_broken = true;
    }
    require(is_broken, "no failure");
    s.let_go();
  };
  expect_good<two>({retrieve_and_abandon, wait}, interleave::unbounded);
  // Nobody has a future: nothing is stored, and somebody else may yet provide.
  expect_good<two>({[](two& s) {
                      s.it().abandon();
                      require(!s.it().is_ready(), "stored for nobody");
                      s.provide(1);
                      s.let_go();
                    },
                    wait_and_free},
                   interleave::unbounded);
}

TEST(FutureState, ADeferredCallRunsOnce) {
  using shared_by_two = state<2, 1>;
  expect_good<shared_by_two>({wait_and_free, wait_and_free}, interleave::unbounded);
  using shared_by_three = state<3, 1>;
  expect_good<shared_by_three>({wait_and_free, wait_and_free, wait_and_free}, 3);
  // A wait with a limit does not run it.
  expect_good<shared_by_three>({wait_and_free, wait_and_free,
                                [](shared_by_three& s) {
                                  if (!s.it().is_deferred() && s.wait_in_time()) s.got(1);
                                  s.let_go();
                                }},
                               3);
}

// ---- the test can fail ----

TEST(FutureState, WhoHasPublishedMayNotLookAgain) {
  EXPECT_FALSE(explored<two>({wait_and_free_both, [](two& s) { s.it().run_badly(1); }}, 3).good());
}

TEST(FutureState, WhoProvidesForAnotherHoldsItToo) {
  const auto share_too_late = [](two& s) {
    s.provide(1);
    s.it().share();
    s.let_go();
  };
  EXPECT_FALSE(explored<two>({wait_and_free_both, share_too_late}, 3).good());
}

TEST(FutureState, ADeferredCallIsBegunByOne) {
  using begun_by_all = state<2, 2>;
  EXPECT_FALSE(explored<begun_by_all>({wait_and_free, wait_and_free}, 3).good());
}

}  // namespace
}  // namespace treadle::detail
