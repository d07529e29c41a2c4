// The depth-first search behind interleave.hpp: who goes on at a choice point, and what is left to
// try. Only the other parts of interleave.hpp include it.
#pragma once

#include "tests/support/interleave_state.hpp"

namespace treadle::interleave {
namespace detail {

inline bool independent(const detail::operation& a, const detail::operation& b) {
  if (a.object == nullptr || b.object == nullptr) {
    return false;
  }
  return a.object != b.object || (a.kind == detail::access::read && b.kind == detail::access::read);
}

inline mask ready_threads(const explorer& e) {
  mask ready = 0;
  for (unsigned i = 0; i < e.count; ++i) {
    const virtual_thread& t = e.threads[i];
    if (!t.finished && (t.next.ready == nullptr || t.next.ready(t.next.argument))) {
      ready |= bit(i);
    }
  }
  return ready;
}

inline unsigned first_of(mask candidates, unsigned preferred) {
  if (preferred != nobody && (candidates & bit(preferred)) != 0) {
    return preferred;
  }
  return static_cast<unsigned>(__builtin_ctz(candidates));
}

// The operations of the chosen thread and of a sleeping one commute: the sleeper sleeps on.
inline void fall_asleep(explorer& e, const node& here) {
  const mask before = e.sleeping | here.done;
  e.sleeping = 0;
  for (unsigned i = 0; i < e.count; ++i) {
    if ((before & bit(i)) != 0 && i != here.chosen &&
        independent(e.threads[i].next, e.threads[here.chosen].next)) {
      e.sleeping |= bit(i);
    }
  }
}

// The thread to go on; nobody: this schedule stops here (pruned, cut or deadlocked).
inline unsigned decide(explorer& e, unsigned current) {
  const mask ready = ready_threads(e);
  if (ready == 0) {
    e.fault = "deadlock: every unfinished thread waits";
    return nobody;
  }
  if (e.steps.size() >= e.bounds.steps_max) {
    e.cut = true;
    return nobody;
  }
  const bool current_ready = current != nobody && (ready & bit(current)) != 0;
  if (e.depth == e.path.size()) {
    node fresh;
    fresh.candidates = ready & ~e.sleeping;
    if (current_ready && e.preemptions >= e.bounds.preemptions_max) {
      fresh.candidates &= bit(current);
    }
    if (fresh.candidates == 0) {
      e.pruned = true;
      return nobody;
    }
    fresh.chosen = first_of(fresh.candidates, current);
    e.path.push_back(fresh);
  }
  const node& here = e.path[e.depth++];
  if ((ready & bit(here.chosen)) == 0) {
    e.fault = "the program is not deterministic: a replayed choice is not ready";
    return nobody;
  }
  if (current_ready && here.chosen != current) {
    ++e.preemptions;
  }
  if (e.bounds.sleep_sets && e.bounds.preemptions_max == unbounded) {
    fall_asleep(e, here);
  }
  e.steps.push_back({here.chosen, e.threads[here.chosen].next, 0});
  if (e.threads[here.chosen].next.kind == detail::access::write) {
    ++e.writes;
  }
  return here.chosen;
}

// Moves the search to the next untried decision; false: all done.
inline bool backtrack(std::vector<node>& path) {
  while (!path.empty()) {
    node& last = path.back();
    if (last.of_value) {
      if (++last.chosen < last.values) {
        return true;
      }
    } else {
      last.done |= bit(last.chosen);
      const mask left = last.candidates & ~last.done;
      if (left != 0) {
        last.chosen = first_of(left, nobody);
        return true;
      }
    }
    path.pop_back();
  }
  return false;
}

}  // namespace detail
}  // namespace treadle::interleave
