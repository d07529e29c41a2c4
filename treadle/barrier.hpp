// A barrier for phases, shaped like <barrier>. wait() parks the treadle thread, not its worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_barrier.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

struct no_completion {
  void operator()() noexcept {}
};

// A phase ends when as many have arrived as are expected. The completion then runs, once, in the
// thread that arrived last, within its arrive(); nobody returns from wait() before it has ended.
// arrive() itself never parks.
// Happens-before: every arrive() of a phase, before its completion, before every return from a
// wait() for that phase.
// Exceptions: one that leaves the completion calls std::terminate().
// Cancellation: try_wait() with a stop token in its limit. Who gives up waiting has still arrived,
// and may wait for the same phase again; a party that will not come any more calls
// arrive_and_drop(), or the others wait for ever.
// Misuse is fatal: more arrivals than are expected, counts below 0, destroying it under waiters.
// Who has returned from the wait for the last phase may destroy it, also before the others have
// returned from arrive() or arrive_and_wait(); but whoever calls wait() or try_wait() must have.
// Source: std::barrier. Not promised: that the completion is noexcept is not asked for at compile
// time, so that a lambda may do.
template <class CompletionFunction = no_completion>
class barrier {
  static_assert(std::is_invocable_v<CompletionFunction&>);

 public:
  class arrival_token {
   public:
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;

   private:
    friend class barrier;
    friend struct co::access;
    explicit arrival_token(sync::raw_barrier::phase during) noexcept : during_(during) {}
    sync::raw_barrier::phase during_;
  };

  static constexpr std::ptrdiff_t max() noexcept { return PTRDIFF_MAX; }

  constexpr explicit barrier(std::ptrdiff_t expected,
                             CompletionFunction completion = CompletionFunction())
      : raw_(expected), completion_(std::move(completion)) {
    if (expected < 0) base::fail_misuse("barrier", "the count is negative");
  }
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  [[nodiscard]] arrival_token arrive(std::ptrdiff_t update = 1) {
    if (update <= 0) base::fail_misuse("barrier::arrive", "the number is not positive");
    return arrival_token(finish(raw_.arrive(update)));
  }
  void wait(arrival_token&& arrival) const { raw_.wait(arrival.during_); }
  // False when the limit came first; the token is still good.
  bool try_wait(arrival_token& arrival, const wait_limit& limit) const {
    return raw_.wait(arrival.during_, limit);
  }
  void arrive_and_wait() { static_cast<void>(finish(raw_.arrive_and_wait())); }
  void arrive_and_drop() { static_cast<void>(finish(raw_.arrive_and_drop())); }

 private:
  // noexcept: what the completion throws ends here.
  sync::raw_barrier::phase finish(const sync::raw_barrier::arrival& made) noexcept {
    if (made.is_last) {
      completion_();
      raw_.complete();
    }
    return made.during;
  }

  friend struct co::access;
  mutable sync::raw_barrier raw_;
  CompletionFunction completion_;
};

}  // namespace treadle
