// How long the monitor of M:N pauses until it looks at all processors again.
//
// A look costs 10 to 30 us, by how cold its caches are, and on a virtual machine most of it for
// the CPU's timer. So the pace goes by what there is to miss: fast where a thread waits and
// its processor may be held by a blocked or a computing one, slower where all processors have been
// seen to get on for a while.
// One round of looks a call; used by one kernel thread. Also what the numbers of turns between two
// looks say: where a processor had many, one that has stopped giving way shows at the next look.
// Rejected: some slack, so that a look comes with the kernel's tick: no less by the kernel's own
// account (8 us instead of 9), and a look is late where the tick is slow.
#pragma once

#include <algorithm>
#include <cstdint>

namespace treadle::core {

class look_pace {
 public:
  // Sourced: design bounds of 1 to 10 ms. Somebody waits, and it may be for a worker that does not
  // move.
  static constexpr std::int64_t hurried_nanoseconds = 2'000'000;
  static constexpr std::int64_t alone_nanoseconds = 1'000'000;  // the same without standbys
  // Nobody waits yet. Guess: who begins to just after a look should wait for a slice in all.
  static constexpr std::int64_t steady_nanoseconds = 5'000'000;
  // Guesses, below the longest pause of Go's sysmon, 10 ms: somebody may wait for so long, but for
  // the second only where nothing has been the matter for a second.
  static constexpr std::int64_t restful_nanoseconds = 4'000'000;
  static constexpr std::int64_t drowsy_nanoseconds = 8'000'000;
  // For so long nothing must have been the matter; less long where threads take turns.
  static constexpr std::int64_t restful_after_nanoseconds = 250'000'000;
  static constexpr std::int64_t pass_after_nanoseconds = 50'000'000;
  static constexpr std::int64_t drowsy_after_nanoseconds = 1'000'000'000;

  // Guess: with so many turns a millisecond a processor looks around for others' work, too, before
  // the monitor looks again.
  static constexpr std::int64_t rate_min = 16;

  // What a round of looks has seen. Begins as the round of a machine that sleeps.
  struct round {
    bool all_idle = true;    // every processor was found asleep and has not been up since the last
    bool any_hurry = false;  // somebody waits, or a standby is not where it should be
    bool any_waits = false;  // a thread waits for a processor, or sleeps for a short time only
    // Every processor has napped since the last round, and nothing had to be done for any.
    bool all_nap = true;
    // Nobody was found blocked, or where it has been for most of a slice, while others wait; nobody
    // sleeps for a short time only, and the standbys are where they should be.
    bool all_pass = true;
    // Every processor has served many threads since, about as many as before, or has napped.
    bool all_even = true;
  };

  // Turns a millisecond, of so many in `span` nanoseconds.
  static constexpr std::int64_t rate_of(unsigned turns, std::int64_t span) noexcept {
    constexpr std::int64_t millisecond = 1'000'000;
    return turns * millisecond / std::max<std::int64_t>(span, 1);
  }
  // Whether a processor has had many turns since the last look, and about as many as before.
  static constexpr bool is_even(std::int64_t rate_before, std::int64_t rate) noexcept {
    return rate >= rate_min && 2 * rate >= rate_before;
  }
  // The same, and nearly as many: who runs now has begun an eighth of the span ago at most.
  static constexpr bool keeps_up(std::int64_t rate_before, std::int64_t rate) noexcept {
    return rate >= rate_min && 8 * rate >= 7 * rate_before;
  }
  // Since when the thread runs that the last look, `span` ago, did not find. If its processor had
  // many turns until then and has had fewer since: most likely for the rest of it.
  static constexpr std::int64_t runs_since(std::int64_t rate_before, std::int64_t rate,
                                           std::int64_t now, std::int64_t span) noexcept {
    if (rate_before < rate_min || keeps_up(rate_before, rate)) return now;
    return now - span + span * rate / rate_before;
  }

  look_pace(std::int64_t now, bool without_standbys) noexcept
      : busy_at_(now),
        stuck_at_(now),
        uneven_at_(now),
        wanted_at_(now),
        without_standbys_(without_standbys) {}

  // The pause after a round that began at `now`.
  std::int64_t after(const round& seen, std::int64_t now) noexcept {
    if (!seen.all_nap) busy_at_ = now;
    if (!seen.all_pass) stuck_at_ = now;
    if (!seen.all_pass || !seen.all_even) uneven_at_ = now;
    if (seen.any_waits || seen.any_hurry) wanted_at_ = now;
    const std::int64_t quiet = now - busy_at_;
    if (!seen.any_waits && quiet > restful_after_nanoseconds) {
      const bool drowsy = quiet > drowsy_after_nanoseconds && !without_standbys_;
      return drowsy ? drowsy_nanoseconds : restful_nanoseconds;
    }
    if (!seen.all_idle && !seen.any_hurry) {
      const bool drowsy = now - wanted_at_ > drowsy_after_nanoseconds && !without_standbys_;
      return drowsy ? drowsy_nanoseconds : steady_nanoseconds;
    }
    if (without_standbys_) return alone_nanoseconds;
    if (now - uneven_at_ > drowsy_after_nanoseconds) return drowsy_nanoseconds;
    return now - stuck_at_ > pass_after_nanoseconds ? restful_nanoseconds : hurried_nanoseconds;
  }

  // An eighth more or less, at random: a look costs a virtual machine's CPU 20 us, and one that
  // comes in step with what the program does by the clock does so each time, or never. Measured
  // (lab syscall-handoff, every 2 ms): a blocked worker replaced within 53 us at 99 %, 83 before.
  std::int64_t spread(std::int64_t pause) noexcept {
    // Source: Marsaglia's xorshift, 32 bits.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    const std::int64_t part = pause * (random_ % 256) / 1024;
    return pause - pause / 8 + part;
  }

  // After a sleep without end: what begins after a long pause may be anything.
  void begin_again(std::int64_t slept_at, std::int64_t now) noexcept {
    if (now - slept_at <= restful_after_nanoseconds) return;
    busy_at_ = stuck_at_ = uneven_at_ = wanted_at_ = now;
  }

 private:
  std::int64_t busy_at_;    // the last round that was not all_nap
  std::int64_t stuck_at_;   // the last that was not all_pass
  std::int64_t uneven_at_;  // the last that was not that or not all_even
  std::int64_t wanted_at_;  // the last with somebody who waited or was in a hurry
  std::uint32_t random_ = 1;
  const bool without_standbys_;
};

}  // namespace treadle::core
