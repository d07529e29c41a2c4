// The one permit that makes park and unpark meet, whichever comes first.
//
// States: none - nothing pending; available - an unpark came before the park; parked - the owner's
// context is saved and it waits; asleep - the owner is a kernel thread that waits on the word
// itself. A parked owner belongs to whoever unparks it. One that is asleep may go on by itself the
// moment the word changes, and its record may then be another thread's: its waker wakes the futex
// and touches nothing else. Only the owner parks and consumes; anybody unparks. Of all
// unparks of one parked thread exactly one gets true and must make the thread ready; the others
// leave the token available, so the owner looks at its condition once more. At most one token is
// kept (sticky, idempotent), and nothing is lost:
//   unpark() is a read-modify-write even when the token is already there: with a plain look, the
//   waker's data could still sit in its store buffer when the owner consumes the older token.
//   The waker itself resets parked to none: if the owner did so after waking, it could wipe out a
//   token that came in between.
// A stray unpark of a thread that does not wait, or of a record in reuse, is a spurious wake-up:
// every caller of park loops on its own condition.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/biased.hpp"

namespace treadle::core {

template <template <class> class Atomic = base::biased>
class basic_token {
 public:
  enum : std::uint32_t { none = 0, available = 1, parked = 2, asleep = 3 };

  // Owner only. True when a token was there and is now used up.
  bool consume() noexcept {
    if (word_.load(base::relaxed) != available) [[likely]]  // relaxed: looked at again below
      return false;
    use_up();
    return true;
  }

  // On the owner's behalf, once its context is saved. False when a token came in meanwhile, which
  // is then used up: the owner goes on at once.
  [[nodiscard, gnu::always_inline]] bool publish_parked() noexcept {
    if (base::swap_if_alone(word_, std::uint32_t{none}, std::uint32_t{parked})) [[likely]]
      return true;
    return publish_parked_slowly();
  }
  [[nodiscard, gnu::noinline]] bool publish_parked_slowly() noexcept {
    std::uint32_t expected = none;
    // release: pairs with unpark(), publishes the saved context to whoever resumes it
    if (word_.compare_exchange_strong(expected, parked, base::release, base::relaxed)) return true;
    use_up();
    return false;
  }

  // Anybody. True when the owner was parked: the caller now owns it and must make it ready. When it
  // was asleep, says so in `sleeper`: the caller must wake the futex.
  [[nodiscard]] bool unpark(bool* sleeper = nullptr) noexcept {
    std::uint32_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
    for (;;) {
      const std::uint32_t wanted = seen >= parked ? none : available;
      // acq_rel: release what the waker did before; acquire the saved context when it was parked
      if (word_.compare_exchange_weak(seen, wanted, base::acq_rel, base::relaxed)) {
        if (seen == asleep && sleeper != nullptr) *sleeper = true;
        return seen == parked;
      }
    }
  }

  // Anybody. The short form of claim_parked() for whoever is alone; false says nothing.
  [[nodiscard, gnu::always_inline]] bool claim_if_alone() noexcept {
    return base::swap_if_alone(word_, std::uint32_t{parked}, std::uint32_t{none});
  }

  // Anybody. Like unpark(), but leaves no token when the owner is not parked.
  [[nodiscard, gnu::always_inline]] bool claim_parked() noexcept {
    return claim_if_alone() || claim_parked_slowly();
  }
  [[nodiscard, gnu::noinline]] bool claim_parked_slowly() noexcept {
    std::uint32_t expected = parked;
    // acq_rel: as in unpark()
    return word_.compare_exchange_strong(expected, none, base::acq_rel, base::relaxed);
  }

  // Owner only, for a kernel thread that waits on the word. False as publish_parked().
  [[nodiscard]] bool fall_asleep() noexcept {
    std::uint32_t expected = none;
    // release: pairs with unpark(), as publish_parked()
    if (word_.compare_exchange_strong(expected, asleep, base::release, base::relaxed)) return true;
    use_up();
    return false;
  }

  // Owner only: after a time-out. False when the waker was faster.
  [[nodiscard]] bool stay_awake() noexcept {
    std::uint32_t expected = asleep;
    // acquire: on failure the waker's data must be visible
    return word_.compare_exchange_strong(expected, none, base::acquire, base::acquire);
  }

  // What a futex waits on.
  const Atomic<std::uint32_t>& word() const noexcept { return word_; }

 private:
  // The token is there, and only we take it away: wakers replace it by itself at most.
  [[gnu::noinline]] void use_up() noexcept {
    std::uint32_t expected = available;
    // acquire: pairs with unpark(), makes visible what the waker did
    word_.compare_exchange_strong(expected, none, base::acquire, base::relaxed);
  }

  Atomic<std::uint32_t> word_{none};
};

using park_token = basic_token<>;

}  // namespace treadle::core
