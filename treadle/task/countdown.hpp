// How many children of a group still run: who leaves last learns it, and is then the only one left.
//
// Every child leaves once, from any carrier. What the others did before they left happens before
// the last one's leave() returns. Only the last may touch the group after that: its parent goes on
// and ends it.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::tasks {

template <class Word>
class basic_countdown {
 public:
  // Before the first child may run.
  void start(std::uint64_t children) noexcept {
    running_.store(children, base::relaxed);  // relaxed: nobody knows it yet
  }

  // True for the last one.
  [[nodiscard]] bool leave() noexcept {
    // acquire, both: what the others did. When we are the last nobody else changes it any more.
    std::uint64_t seen = running_.load(base::acquire);
    // release: what we did, to the last one through this counter
    while (seen != 1) {
      if (running_.compare_exchange_weak(seen, seen - 1, base::acq_rel, base::acquire)) {
        return false;
      }
    }
    return true;
  }

 private:
  Word running_;
};

}  // namespace treadle::tasks
