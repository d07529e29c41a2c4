// Members by number, the last that came first; without lock, as it is also used by kernel threads
// that run only when nothing else does.
//
// One word: the top's number, and a count of changes, so that a top that was away meanwhile is not
// taken for the same. Each member has a word of its own for the number below it, which is read by
// whoever pops it, also by one who comes too late: so members must not go away.
// Source: Treiber, "Systems programming: coping with parallelism", IBM RJ 5118, 1986.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::core {

template <template <class> class Atomic = base::atomic>
class basic_spare_stack {
 public:
  static constexpr std::uint32_t nobody = 0;

  // `below_of(number)` is a member's word. The member must be in no stack.
  template <class BelowOf>
  void push(std::uint32_t number, BelowOf&& below_of) noexcept {
    std::uint64_t top = top_.load(base::relaxed);  // relaxed: validated by the CAS
    std::uint64_t wanted;
    do {
      below_of(number).store(number_of(top), base::relaxed);  // relaxed: published by the CAS
      wanted = changed(top, number);
      // seq_cst: publishes the word and what the member did; before the caller looks who needs one
    } while (!top_.compare_exchange_weak(top, wanted, base::seq_cst, base::relaxed));
  }

  // The caller's alone now, or nobody.
  template <class BelowOf>
  [[nodiscard]] std::uint32_t pop(BelowOf&& below_of) noexcept {
    // seq_cst: after the caller has said that it needs one; pairs with push()
    std::uint64_t top = top_.load(base::seq_cst);
    while (number_of(top) != nobody) {
      // relaxed: validated by the CAS
      const std::uint64_t wanted = changed(top, below_of(number_of(top)).load(base::relaxed));
      // acq_rel: acquire what the member left, keep what is below published
      if (top_.compare_exchange_weak(top, wanted, base::acq_rel, base::acquire)) {
        return number_of(top);
      }
    }
    return nobody;
  }

 private:
  static std::uint32_t number_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word);
  }
  static std::uint64_t changed(std::uint64_t word, std::uint32_t number) noexcept {
    return ((word >> 32) + 1) << 32 | number;
  }

  Atomic<std::uint64_t> top_{nobody};
};

using spare_stack = basic_spare_stack<>;

}  // namespace treadle::core
