// What the search behind interleave.hpp keeps: its decisions, the virtual threads, one schedule's
// steps. Only the other parts of interleave.hpp include it.
#pragma once

#include <array>
#include <cstdlib>

#include "tests/support/interleave_context.hpp"

namespace treadle::interleave {
namespace detail {

inline constexpr unsigned threads_max = 8;  // guess: more cannot be searched anyway
inline constexpr unsigned nobody = ~0U;

using mask = std::uint32_t;
constexpr mask bit(unsigned index) { return mask{1} << index; }

// One decision of the search; it lives on while its subtree is explored.
struct node {
  bool of_value = false;  // choose(): chosen counts up to values
  unsigned values = 0;    // of_value only
  mask candidates = 0;    // threads worth trying here
  mask done = 0;          // threads whose subtrees are finished
  unsigned chosen = 0;
};

struct step {
  unsigned thread = 0;
  operation what;
  std::uint64_t value = 0;
};

struct virtual_thread {
  context where;
  operation next;
  std::function<void()>* body = nullptr;
  bool finished = false;
  const void* asleep_on = nullptr;  // block_on()
};

struct explorer {
  options bounds;
  std::vector<node> path;
  std::size_t depth = 0;  // decisions taken in this schedule
  std::array<virtual_thread, threads_max> threads;
  unsigned count = 0;
  unsigned running = nobody;
  bool starting = false;  // threads run up to their first operation
  mask sleeping = 0;      // the sleep set
  unsigned preemptions = 0;
  unsigned spurious = 0;
  std::uint64_t writes = 0;  // operations that took effect, for pause()
  std::vector<step> steps;
  context home;
  bool pruned = false;
  bool cut = false;
  std::string fault;
};

inline explorer* active = nullptr;

[[noreturn]] inline void give_up() {
  explorer& e = *active;
  const unsigned me = e.running;
  e.running = nobody;
  switch_context(e.threads[me].where, e.home, true);
  std::abort();  // nobody resumes a thread that gave up
}

}  // namespace detail
}  // namespace treadle::interleave
