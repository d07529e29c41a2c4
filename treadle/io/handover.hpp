// One word between the thread that waits for a request and whoever completes it: exactly one of
// completing and giving up wins, and the loser's side frees the request.
//
//   complete() first: the waiter has the result; the completer must not touch the request again.
//   give_up() first:  the completer has the request; the waiter must not touch it again.
// Each is called once at most. Invariant: what the completer needs after complete(), the waiter's
// record above all, it reads before.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::io {

template <template <class> class Atomic = base::atomic>
class basic_handover {
 public:
  // The completer, with the result in place. True: the waiter is there and must be unparked. False:
  // it has left, and the request is the caller's.
  [[nodiscard]] bool complete() noexcept {
    // acq_rel: release the result to is_done() and give_up(); acquire what a leaving waiter wrote
    return word_.exchange(done, base::acq_rel) == waiting;
  }

  // The waiter. True: it has left, and the request is the completer's. False: it is done.
  [[nodiscard]] bool give_up() noexcept {
    std::uint32_t expected = waiting;
    // acq_rel: release the request to complete(); on failure acquire the result
    return word_.compare_exchange_strong(expected, given_up, base::acq_rel, base::acquire);
  }

  // The waiter.
  [[nodiscard]] bool is_done() const noexcept {
    return word_.load(base::acquire) == done;  // pairs with complete(), publishes the result
  }

 private:
  enum : std::uint32_t { waiting, done, given_up };
  Atomic<std::uint32_t> word_{waiting};
};

using handover = basic_handover<>;

}  // namespace treadle::io
