// Every interleaving of readers that protect what they find with a writer that replaces it, looks
// at all cells and destroys. The cells have a store buffer, which the writer's fence drains: what a
// reader wrote is seen by others at any later time only.
#include "treadle/sync/hazard_cell.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "tests/support/interleave.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::options;
using interleave::require;
using interleave::verdict;

// All steps that are not an atomic's own are changes of this one; the plain code after one belongs
// to it.
interleave::explored_atomic<int> steps;
void step() { steps.fetch_add(1); }

template <class T>
class buffered {
 public:
  explicit buffered(T value) : seen_(value) {}
  T load(std::memory_order) const {
    step();
    return seen_;
  }
  void store(T value, std::memory_order) {
    step();
    drain();
    stored_ = value;
    waits_ = true;
  }
  T exchange(T value, std::memory_order) {
    step();
    drain();
    return std::exchange(seen_, value);
  }
  void drain() {
    if (waits_) seen_ = stored_;
    waits_ = false;
  }

 private:
  T seen_{};
  T stored_{};
  bool waits_ = false;
};

buffered<const void*>* last_made = nullptr;

template <bool DestroyerPays>
struct ground {
  template <class T>
  struct atomic : buffered<T> {
    explicit atomic(T value) : buffered<T>(value) { last_made = this; }
  };
  static bool destroyer_pays() { return DestroyerPays; }
  static void light_fence() {}
  static void full_fence() {}
};

template <bool DestroyerPays>
struct state {
  using cell = basic_hazard_cell<ground<DestroyerPays>>;
  struct made_cell {
    cell it;
    buffered<const void*>* buffer = last_made;
  };

  state() { steps.store(0); }

  std::array<made_cell, 2> cells;
  std::array<int, 3> objects{};
  interleave::explored_atomic<int*> source{&objects[0]};
  std::array<bool, 3> destroyed{};

  void check(const int* object) {
    require(!destroyed[static_cast<std::size_t>(object - objects.data())], "used after its end");
  }
  // As hazard_pointer::protect().
  void use(unsigned which, int times) {
    cell& mine = cells[which].it;
    for (int i = 0; i < times; ++i) {
      int* found = source.load();
      for (;;) {
        mine.protect(found);
        int* again = source.load();
        if (again == found) break;
        found = again;
      }
      check(found);
      step();
      check(found);
      mine.clear();
    }
  }
  void drain(unsigned which) {
    step();
    cells[which].buffer->drain();
  }
  void replace(int times, bool with_fence) {
    for (int old = 0; old < times; ++old) {
      source.store(&objects[static_cast<std::size_t>(old) + 1]);
      if (with_fence) {
        step();
        for (made_cell& each : cells) each.buffer->drain();
      }
      bool in_use = false;
      for (const made_cell& each : cells) {
        if (each.it.address() == &objects[static_cast<std::size_t>(old)]) in_use = true;
      }
      if (!in_use) destroyed[static_cast<std::size_t>(old)] = true;
    }
  }
};

// Guess: the complete search of three threads takes minutes.
constexpr unsigned preemptions_max = 3;

template <bool DestroyerPays>
verdict run(std::vector<std::function<void(state<DestroyerPays>&)>> threads) {
  options bounds;
  bounds.preemptions_max = preemptions_max;
  return explore<state<DestroyerPays>>(bounds, std::move(threads), [](state<DestroyerPays>&) {});
}

TEST(HazardCell, WhatIsProtectedIsNotDestroyed) {
  using one = state<true>;
  const verdict v = run<true>({[](one& s) { s.use(0, 2); }, [](one& s) { s.drain(0); },
                               [](one& s) { s.replace(2, true); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(HazardCell, TwoReaders) {
  using one = state<true>;
  const verdict v = run<true>({[](one& s) { s.use(0, 1); }, [](one& s) { s.use(1, 1); },
                               [](one& s) { s.replace(2, true); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(HazardCell, WithoutTheDestroyersFenceReadersHaveTheirOwn) {
  using one = state<false>;
  const verdict v = run<false>({[](one& s) { s.use(0, 2); }, [](one& s) { s.use(1, 1); },
                                [](one& s) { s.replace(2, false); }});
  EXPECT_TRUE(v.good()) << v.report();
}

TEST(HazardCell, TheSearchFindsAMissingFence) {
  using one = state<true>;
  const verdict v = run<true>({[](one& s) { s.use(0, 1); }, [](one& s) { s.replace(1, false); }});
  EXPECT_EQ(v.fault, "used after its end") << v.report();
}

}  // namespace
}  // namespace treadle::sync
