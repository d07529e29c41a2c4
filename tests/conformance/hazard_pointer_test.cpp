// Hazard pointers in every model.
#include <treadle/hazard_pointer.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <treadle/event.hpp>
#include <type_traits>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class HazardPointer : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(HazardPointer, every_model, model_names);

static_assert(!std::is_copy_constructible_v<hazard_pointer>);
static_assert(std::is_nothrow_move_constructible_v<hazard_pointer>);
static_assert(std::is_nothrow_default_constructible_v<hazard_pointer>);

struct counted : hazard_pointer_obj_base<counted> {
  static inline std::atomic<long> alive{0};
  static constexpr int good = 7;
  counted() { alive.fetch_add(1); }
  ~counted() {
    word = -1;
    alive.fetch_sub(1);
  }
  std::atomic<int> word{good};
};

// Retired by another address than it would be protected by.
struct beside {
  int number = 0;
};
struct further : beside, counted {};
static_assert(detail::hazard_protectable<counted>);
static_assert(detail::hazard_protectable<const counted>);
static_assert(!detail::hazard_protectable<further>);
static_assert(!detail::hazard_protectable<beside>);

// More than wait for a look, whatever cells there are.
void retire_many() {
  for (int i = 0; i < 2000; ++i) (new counted)->retire();
}

TYPED_TEST(HazardPointer, HoldsOneOrNone) {
  this->in([] {
    hazard_pointer none;
    EXPECT_TRUE(none.empty());
    hazard_pointer one = make_hazard_pointer();
    EXPECT_FALSE(one.empty());
    swap(none, one);
    EXPECT_TRUE(one.empty());
    one = std::move(none);
    EXPECT_FALSE(one.empty());
    EXPECT_TRUE(none.empty());
  });
}

TYPED_TEST(HazardPointer, TryProtectTellsOfAChange) {
  this->in([] {
    counted first;
    counted second;
    std::atomic<counted*> source{&first};
    hazard_pointer mine = make_hazard_pointer();
    counted* found = &first;
    EXPECT_TRUE(mine.try_protect(found, source));
    source = &second;
    EXPECT_FALSE(mine.try_protect(found, source));
    EXPECT_EQ(found, &second);
    EXPECT_EQ(mine.protect(source), &second);
    source = nullptr;
    EXPECT_EQ(mine.protect(source), nullptr);
    mine.reset_protection();
  });
}

TYPED_TEST(HazardPointer, TheProtectedStaysTheRestGoes) {
  this->in([] {
    auto* kept = new counted;
    std::atomic<counted*> source{kept};
    hazard_pointer mine = make_hazard_pointer();
    EXPECT_EQ(mine.protect(source), kept);
    source = nullptr;
    kept->retire();
    retire_many();
    EXPECT_EQ(kept->word, counted::good);
    this_thread::yield();
    EXPECT_EQ(kept->word, counted::good);
    EXPECT_LT(counted::alive, 2000);
    mine.reset_protection();
  });
}

// The protection outlives a park and goes to another thread.
TYPED_TEST(HazardPointer, MovesToAnotherThread) {
  this->in([] {
    auto* kept = new counted;
    std::atomic<counted*> source{kept};
    hazard_pointer mine = make_hazard_pointer();
    EXPECT_EQ(mine.protect(source), kept);
    source = nullptr;
    kept->retire();
    manual_reset_event go_on;
    thread other([&, owned = std::move(mine)]() mutable {
      go_on.wait();
      EXPECT_EQ(kept->word, counted::good);
      owned.reset_protection();
    });
    retire_many();
    go_on.set();
    other.join();
  });
}

TYPED_TEST(HazardPointer, CellsAreUsedAgain) {
  this->in([] {
    std::vector<hazard_pointer> many;
    for (int i = 0; i < 500; ++i) many.push_back(make_hazard_pointer());
    many.clear();
    for (std::size_t i = 0; i < scaled(5000); ++i) {
      const hazard_pointer one = make_hazard_pointer();
      EXPECT_FALSE(one.empty());
    }
  });
}

// A list of a thousand objects, each of which retires the next when it is destroyed.
TYPED_TEST(HazardPointer, DeletersMayRetire) {
  this->in([] {
    struct link : hazard_pointer_obj_base<link> {
      link* next = nullptr;
      ~link() {
        if (next != nullptr) next->retire();
      }
    };
    link* first = nullptr;
    for (int i = 0; i < 100'000; ++i) {
      auto* made = new link;
      made->next = first;
      first = made;
    }
    first->retire();
    for (int i = 0; i < 100'000; ++i) (new link)->retire();
  });
}

TYPED_TEST(HazardPointer, NobodyReadsWhatIsDestroyed) {
  std::atomic<bool> stop{false};
  std::atomic<long> bad{0};
  std::array<std::atomic<counted*>, 4> shared;
  for (auto& each : shared) each = new counted;
  const auto read = [&](unsigned seed, bool gives_way) {
    hazard_pointer one = make_hazard_pointer();
    hazard_pointer other = make_hazard_pointer();
    for (unsigned i = seed; !stop; ++i) {
      const counted* first = one.protect(shared[i % 4]);
      const counted* second = other.protect(shared[(i + 1) % 4]);
      if (gives_way && i % 3 == 0) this_thread::yield();
      if (first->word != counted::good || second->word != counted::good) ++bad;
      if (i % 5 == 0) swap(one, other);
      if (i % 64 == 0) one = make_hazard_pointer();
      if (gives_way) this_thread::yield();
    }
  };
  std::thread foreign([&] { read(0, false); });
  this->in([&] {
    std::vector<thread> readers;
    for (unsigned r = 0; r < 4; ++r) readers.emplace_back([&, r] { read(r, true); });
    std::vector<thread> writers;
    for (unsigned w = 0; w < 2; ++w) {
      writers.emplace_back([&, w] {
        for (unsigned i = 0; i < scaled(10'000, true); ++i) {
          shared[(i + w) % 4].exchange(new counted)->retire();
          if (i % 16 == 0) this_thread::yield();
        }
      });
    }
    for (thread& each : writers) each.join();
    stop = true;
    for (thread& each : readers) each.join();
  });
  foreign.join();
  for (auto& each : shared) each.load()->retire();
  EXPECT_EQ(bad, 0);
}

TYPED_TEST(HazardPointer, WhatARuntimeLeftIsDestroyedAtItsEnd) {
  {
    runtime own(TypeParam::options());
    own.run([] {
      for (int i = 0; i < 10; ++i) (new counted)->retire();
    });
  }
  EXPECT_EQ(counted::alive, 0);
}

}  // namespace
}  // namespace treadle
