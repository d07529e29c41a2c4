// Every interleaving of the owner and up to two thieves on deques of one, two and four slots.
//
// Each item must come out exactly once, the owner's pops youngest first, the thieves' oldest
// first. The hard case is the last item, so most programs here keep the deque near empty.
// Both forms of the owner's fence are explored: the exchange, and the asymmetric one over a model
// of the owner's store buffer, in which a store takes effect at any later time.
#include "treadle/queue/fork_deque.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <type_traits>
#include <vector>

#include "tests/support/interleave.hpp"

namespace treadle::queue {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

struct item {
  int number = 0;
  int taken = 0;
};

// The owner is virtual thread 0; its stores wait here until the virtual thread `memory` lets one
// out, in order, as x86 does (TSO).
struct store_buffer {
  struct entry {
    void (*apply)(void* word, std::uint64_t value);
    void* word;
    std::uint64_t value;
  };
  std::array<entry, 32> entries{};
  std::size_t pushed = 0;
  std::size_t out = 0;
  bool owner_is_done = false;

  static inline store_buffer* current = nullptr;  // of the schedule that runs
  store_buffer() { current = this; }
};

template <class T>
class buffered_atomic {
 public:
  buffered_atomic() = default;
  explicit buffered_atomic(T value) : word_(value) {}
  T load(std::memory_order) const {
    if (is_owner()) {  // which sees its own stores
      const store_buffer& b = *store_buffer::current;
      for (std::size_t i = b.pushed; i > b.out; --i) {
        if (b.entries[i - 1].word == this) return as_value(b.entries[i - 1].value);
      }
    }
    return word_.load();
  }
  void store(T value, std::memory_order) {
    if (!is_owner()) {
      word_.store(value);
      return;
    }
    store_buffer& b = *store_buffer::current;
    require(b.pushed < b.entries.size(), "the model's store buffer is full");
    b.entries[b.pushed++] = {[](void* word, std::uint64_t stored) {
                               static_cast<buffered_atomic*>(word)->word_.store(as_value(stored));
                             },
                             this, as_number(value)};
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
    drain();
    return word_.compare_exchange_strong(expected, desired);
  }
  T exchange(T value, std::memory_order) {
    drain();
    return word_.exchange(value);
  }

 private:
  static bool is_owner() {
    return interleave::detail::active != nullptr &&
           interleave::detail::active->running != interleave::detail::nobody &&
           interleave::self() == 0;
  }
  static void drain() {
    if (!is_owner()) return;
    const store_buffer& b = *store_buffer::current;
    interleave::wait_until([&b] { return b.out == b.pushed; }, "locked instruction");
  }
  static std::uint64_t as_number(T value) { return interleave::detail::as_number(value); }
  static T as_value(std::uint64_t number) {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<T>(number);
    } else {
      return static_cast<T>(number);
    }
  }

  explored_atomic<T> word_;
};

struct modelled_fence {
  static bool are_usable() { return true; }
  static void light() {}
  static void heavy() {
    const store_buffer& b = *store_buffer::current;
    const std::size_t before = b.pushed;
    interleave::wait_until([&b, before] { return b.out >= before; }, "heavy fence");
  }
};

struct missing_fence : modelled_fence {
  static void heavy() {}
};

template <class Fence>
struct buffered_state {
  buffered_state() {
    for (std::size_t i = 0; i < items.size(); ++i) items[i].number = static_cast<int>(i);
  }
  void push() {
    require(deque.push(&items[pushed]), "full too early");
    ++pushed;
  }
  static item* take(item* one) {
    if (one != nullptr) require(++one->taken == 1, "one item was taken twice");
    return one;
  }
  void check() {
    while (take(deque.pop()) != nullptr) {
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      require(items[i].taken == (i < pushed ? 1 : 0), "an item was lost");
    }
  }
  store_buffer buffer;
  fork_deque<item, 4, buffered_atomic, Fence> deque;
  std::array<item, 8> items;
  std::size_t pushed = 0;  // owner only
};

template <class State>
void memory(State& s) {
  store_buffer& b = s.buffer;
  for (;;) {
    interleave::wait_until([&b] { return b.out < b.pushed || b.owner_is_done; }, "memory");
    if (b.out == b.pushed) return;
    const store_buffer::entry& first = b.entries[b.out];
    first.apply(first.word, first.value);
    ++b.out;
  }
}

template <class Fence>
verdict explore_buffered(std::size_t thieves) {
  using state = buffered_state<Fence>;
  const auto owner = [](state& s) {
    s.push();
    s.push();
    state::take(s.deque.pop());
    state::take(s.deque.pop());
    s.push();
    s.buffer.owner_is_done = true;
  };
  const auto steal_once = [](state& s) { state::take(s.deque.steal()); };
  std::vector<std::function<void(state&)>> threads{owner, memory<state>};
  for (std::size_t i = 0; i < thieves; ++i) threads.push_back(steal_once);
  if (thieves == 1) {
    threads.back() = [](state& s) {
      state::take(s.deque.steal());
      state::take(s.deque.steal());
    };
  }
  // Waiting for the buffer depends on everything, so sleep sets prune nothing here. Measured: the
  // double take without the fence needs two preemptions.
  interleave::options bounds;
  bounds.preemptions_max = 2;
  return explore<state>(bounds, threads, [](state& s) { s.check(); });
}

TEST(ForkDeque, TheAsymmetricFenceHoldsOverAStoreBuffer) {
  for (const std::size_t thieves : {1, 2}) {
    const verdict v = explore_buffered<modelled_fence>(thieves);
    EXPECT_TRUE(v.good()) << v.report();
    RecordProperty("schedules" + std::to_string(thieves), std::to_string(v.schedules));
  }
}

TEST(ForkDeque, WithoutItTheModelFindsTheDoubleTake) {
  const verdict v = explore_buffered<missing_fence>(2);
  EXPECT_EQ(v.fault, "one item was taken twice") << v.report();
}

// The owner's exchange.
struct no_fence {
  static bool are_usable() { return false; }
  static void light() {}
  static void heavy() {}
};

template <std::int64_t Capacity>
struct state_of {
  state_of() {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].number = static_cast<int>(i);
    }
  }
  bool push() {
    const bool done = deque.push(&items[pushed]);
    pushed += done ? 1 : 0;
    return done;
  }
  static item* take(item* one) {
    if (one != nullptr) require(++one->taken == 1, "one item was taken twice");
    return one;
  }
  void check() {
    while (take(deque.pop()) != nullptr) {
    }
    require(deque.oldest() == nullptr, "drained, and yet not empty");
    for (std::size_t i = 0; i < items.size(); ++i) {
      require(items[i].taken == (i < pushed ? 1 : 0), "an item was lost");
    }
  }

  fork_deque<item, Capacity, explored_atomic, no_fence> deque;
  std::array<item, 8> items;
  std::size_t pushed = 0;  // owner only
};

template <std::int64_t Capacity>
void thief(state_of<Capacity>& s) {
  const item* one = s.take(s.deque.steal());
  const item* two = s.take(s.deque.steal());
  require(one == nullptr || two == nullptr || one->number < two->number,
          "a thief got a younger item first");
}

TEST(ForkDeque, TheLastItemHasOneTaker) {
  using state = state_of<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push();
                                      state::take(s.deque.pop());
                                    },
                                    [](state& s) { state::take(s.deque.steal()); },
                                    [](state& s) { state::take(s.deque.steal()); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, OwnerAndOneThief) {
  using state = state_of<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push();
                                      s.push();
                                      const item* one = state::take(s.deque.pop());
                                      s.push();
                                      const item* two = state::take(s.deque.pop());
                                      require(one == nullptr || one->number == 1,
                                              "the owner got an older item first");
                                      require(two == nullptr || two->number == 2 || s.pushed == 2,
                                              "the owner did not get its youngest item");
                                      state::take(s.deque.pop());
                                      s.push();
                                      state::take(s.deque.pop());
                                    },
                                    thief<2>},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, OneSlotWraps) {
  using state = state_of<1>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      for (int i = 0; i < 5; ++i) {
                                        if (!s.push()) state::take(s.deque.pop());
                                      }
                                    },
                                    thief<1>},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, TwoThievesAndWrapping) {
  using state = state_of<2>;
  const verdict v = explore<state>({},
                                   {[](state& s) {
                                      s.push();
                                      s.push();
                                      state::take(s.deque.pop());
                                      s.push();
                                      state::take(s.deque.pop());
                                    },
                                    thief<2>, [](state& s) { state::take(s.deque.steal()); }},
                                   [](state& s) { s.check(); });
  EXPECT_TRUE(v.good()) << v.report();
  RecordProperty("schedules", std::to_string(v.schedules));
}

TEST(ForkDeque, NestedForksComeBackInOrderWhenNobodySteals) {
  fork_deque<item, 4> deque;
  std::array<item, 5> items;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(deque.push(&items[i]));
  }
  EXPECT_FALSE(deque.push(&items[4]));
  EXPECT_EQ(deque.pop_alone(), &items[3]);
  EXPECT_EQ(deque.pop(), &items[2]);
  EXPECT_EQ(deque.steal(), items.data());
  EXPECT_EQ(deque.pop(), &items[1]);
  EXPECT_EQ(deque.pop(), nullptr);
  EXPECT_EQ(deque.pop_alone(), nullptr);
  EXPECT_EQ(deque.steal(), nullptr);
  EXPECT_TRUE(deque.oldest() == nullptr);
}

}  // namespace
}  // namespace treadle::queue
