// Who destroys retired objects while another is at it.
#include "treadle/sync/raw_hazards.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <thread>

// Sanitizers have their own operator new.
#if !defined(TREADLE_SANITIZED)
namespace {

// What the calling thread does when it next asks for memory that it may not get.
thread_local void (*at_next_new)() = nullptr;

}  // namespace

void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  if (void (*const act)() = at_next_new) {
    at_next_new = nullptr;
    act();
  }
  return std::malloc(bytes != 0 ? bytes : 1);
}
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void* operator new[](std::size_t bytes) {
  if (void* memory = std::malloc(bytes != 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}

namespace treadle::sync {
namespace {

raw_hazards hazards;

struct counted : hazard_retired {
  static inline base::atomic<int> destroyed{0};
  counted() {
    address = this;
    destroy = [](retired&) noexcept { destroyed.fetch_add(1, base::relaxed); };
  }
};

// One destroys, and has stopped with the objects in its hands when another retires one more.
TEST(RawHazards, WhoFindsNothingLeavesItToWhoHasIt) {
  hazard_cell* cell = hazards.take_cell();
  ASSERT_NE(cell, nullptr);
  static counted late;
  at_next_new = [] { std::thread([] { hazards.retire(late); }).join(); };
  constexpr int enough = 1000;  // several times what makes one look
  static counted all[enough];
  for (counted& each : all) hazards.retire(each);
  EXPECT_EQ(at_next_new, nullptr);
  hazards.give_back(*cell);
  hazards.reclaim();
  EXPECT_EQ(counted::destroyed.load(base::relaxed), enough + 1);
}

}  // namespace
}  // namespace treadle::sync

#endif
