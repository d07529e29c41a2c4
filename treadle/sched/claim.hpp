// Who holds a processor: one word, changed by compare-and-swap only.
//
// A holder is a worker, by its number. States:
//   held      - the holder runs threads on it, or is idle with it;
//   suspected - somebody saw the holder blocked and is making sure that it is outside the runtime;
//   released  - the holder is outside the runtime and has let go: whoever swaps the word has the
//               processor. The holder itself must do so, too, before it touches the processor. The
//               word also names a worker in reserve, whom a taker without one of his own wakes.
// A holder announces itself (worker::inside) before it looks at the word, and a taker swaps the
// word before it looks at the announcement, with a heavy fence in between (base/heavy_fence.hpp).
// So of the two one sees the other, and the holder's side needs no locked instruction. What the
// holder then does about a suspicion is to swap it away: the taker's own swap fails.
// The upper half counts changes, so that a taker that was slow cannot take what it did not look at.
// Source of the states: Go's P statuses (runtime/proc.go); the suspicion is ours.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::core {

enum class hold : std::uint32_t { held = 0, suspected = 1, released = 2 };

template <template <class> class Atomic = base::atomic>
class basic_claim {
 public:
  // What the word was at one moment; to be compared, and to be taken apart.
  struct seen {
    std::uint64_t word;
    hold state() const noexcept { return static_cast<hold>(word >> state_shift & state_mask); }
    std::uint32_t holder() const noexcept { return word & number_max; }
    // Of a released one.
    std::uint32_t reserve() const noexcept { return word >> reserve_shift & number_max; }
  };

  // Sourced: 1024 processors and their spares; twice 15 bits beside the state fill half a word.
  static constexpr std::uint32_t number_max = (1U << 15) - 1;

  // Before anybody else knows the processor.
  void begin(std::uint32_t holder) noexcept {
    word_.store(make(hold::held, holder, 0),
                base::relaxed);  // relaxed: published with the processor
  }

  // The holder's own look, after it has announced itself.
  [[gnu::always_inline]] bool is_held_by(std::uint32_t number) const noexcept {
    // relaxed: a "yes" is our own last word, or that of who gave us the processor and woke us
    return static_cast<std::uint32_t>(word_.load(base::relaxed)) == number;
  }

  // seq_cst: pairs with release(); a waker clears the sleeper's bit before it looks.
  seen look() const noexcept { return {word_.load(base::seq_cst)}; }

  // Holder: takes back what was suspected or released, and says what it was. False when it is
  // somebody else's by now.
  [[nodiscard]] bool reclaim(std::uint32_t number, seen& before) noexcept {
    return move_own(number, hold::held, number, 0, before);
  }

  // Holder, inside the runtime: lets go. The word is then the taker's who swaps first.
  void release(std::uint32_t number, std::uint32_t reserve) noexcept {
    release_to(number, number, reserve);
  }
  // The same, as if `other` had: who took the processor from it while it was blocked. It may take
  // it back, unless it has found out meanwhile that it had lost it.
  void release_to(std::uint32_t number, std::uint32_t other, std::uint32_t reserve) noexcept {
    seen before{};
    static_cast<void>(move_own(number, hold::released, other, reserve, before));
  }

  // Holder, inside the runtime: makes `other` the holder.
  void give(std::uint32_t number, std::uint32_t other) noexcept {
    seen before{};
    static_cast<void>(move_own(number, hold::held, other, 0, before));
  }

  // Taker: the first step, from held. The second, after the fence: one of the next two, with the
  // word as it is left in `now`.
  [[nodiscard]] bool suspect(seen& now) noexcept {
    return now.state() == hold::held && swap(now, hold::suspected, now.holder(), 0);
  }
  [[nodiscard]] bool take(seen& now, std::uint32_t number) noexcept {
    return now.state() != hold::held && swap(now, hold::held, number, 0);
  }
  [[nodiscard]] bool drop_suspicion(seen& now) noexcept {
    return now.state() == hold::suspected && swap(now, hold::held, now.holder(), 0);
  }

 private:
  // The holder is at the bottom and `held` is 0, so that a held word's lower half is the number.
  static constexpr unsigned reserve_shift = 15;
  static constexpr unsigned state_shift = 30;
  static constexpr std::uint64_t state_mask = 3;
  static constexpr std::uint64_t one_change = std::uint64_t{1} << 32;

  static constexpr std::uint64_t make(hold state, std::uint32_t holder,
                                      std::uint32_t reserve) noexcept {
    return std::uint64_t{holder} | std::uint64_t{reserve} << reserve_shift |
           static_cast<std::uint64_t>(state) << state_shift;
  }

  bool swap(seen& now, hold state, std::uint32_t holder, std::uint32_t reserve) noexcept {
    const std::uint64_t changes = (now.word & ~(one_change - 1)) + one_change;
    const std::uint64_t wanted = changes | make(state, holder, reserve);
    // seq_cst: release what the last holder left to the next; ordered with sleepers' bits
    if (!word_.compare_exchange_strong(now.word, wanted, base::seq_cst, base::relaxed)) {
      return false;
    }
    now.word = wanted;
    return true;
  }

  bool move_own(std::uint32_t number, hold state, std::uint32_t holder, std::uint32_t reserve,
                seen& before) noexcept {
    seen now{word_.load(base::relaxed)};  // relaxed: validated by the CAS
    while (now.holder() == number) {
      before = now;
      if (swap(now, state, holder, reserve)) return true;
    }
    return false;
  }

  Atomic<std::uint64_t> word_{0};  // no worker has the number 0: held by nobody
};

using claim = basic_claim<>;

}  // namespace treadle::core
