// Who is idle, and whom to wake: the books of the spinning-worker rule.
//
// A worker without work spins a while (at most one does), then sleeps on its futex. Nobody is
// woken while somebody spins: waking a sleeper costs the waker a system call, a spinner finds the
// work for nothing. While others are busy an idle worker only dozes: it looks again after a time
// that grows to doze_max. So a missed wake-up can delay a ready thread by one doze, never for
// ever, and the busy side needs no fence between queueing a thread and looking for sleepers. Of
// many a few doze for all (dozers.hpp).
// A processor whose worker is away in the kernel, with nothing to run, is listed like a sleeper: to
// wake it is to give it another worker (many_to_many_hand_over.cpp).
// When all workers are idle they sleep without limit; work then comes from outside, through the
// inject queue, whose size is sequentially consistent with `sleepers`.
// Of the sleepers one at most has the poller's seat: it waits for events instead of on its futex,
// and is woken last, as somebody else would have to take its place.
// One of the sleepers also has the watch: it gets up when the earliest timer is due, whosever that
// is, or before, or for a crowd a little later (crowd.hpp). Otherwise all would get up for each.
// The others follow a while later, in case that it is busy by then.
// A worker may also rest: it went idle because its threads wait for locks that others hold, and
// would only fight for them (decision 0005). Then nobody's surplus wakes it, only work from
// outside, and it rests no longer than a doze.
// Source: Go's spinning Ms (runtime/proc.go); the dozing is ours.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/base/futex.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/sched/poller.hpp"

namespace treadle::core {

// Sourced: NR_CPUS of distribution kernels is at most 8192; beyond this the extra CPUs idle.
inline constexpr unsigned workers_max = 1024;

template <template <class> class Atomic = base::atomic, std::uint32_t Max = workers_max>
class basic_idle_workers {
 public:
  // Fixed before the first worker starts; may be null.
  poller* events = nullptr;

  // A guess from anywhere.
  bool anybody_spins() const noexcept { return spinners_.load(base::relaxed) != 0; }
  bool anybody_sleeps() const noexcept { return sleepers_.load(base::seq_cst) != 0; }
  // The same without those who rest. A guess: relaxed, a miss costs a doze at most.
  bool anybody_waits_for_surplus() const noexcept {
    return sleepers_.load(base::relaxed) > resters_.load(base::relaxed);
  }
  bool all_asleep(unsigned width) const noexcept {
    // seq_cst: see the file head; with sleepers that miscount, all could sleep on queued work
    return sleepers_.load(base::seq_cst) == width;
  }

  // True when the caller is the one spinner now.
  bool start_spinning() noexcept {
    std::uint32_t none = 0;
    return spinners_.load(base::relaxed) == 0 &&  // relaxed: a look before the dear part
           spinners_.compare_exchange_strong(none, 1, base::seq_cst, base::relaxed);
  }
  // seq_cst: before the last look at the queues; see inject_queue::size().
  void stop_spinning() noexcept { spinners_.fetch_sub(1, base::seq_cst); }

  // Whether others than the caller, who is awake, are up: nobody else makes threads ready, but for
  // timers and the outside.
  bool others_are_up(unsigned width) const noexcept {
    return sleepers_.load(base::relaxed) + 1 < width;  // relaxed: a guess
  }

  // Wakes one sleeper, which starts as the spinner, and says which; -1 when there is none, or one
  // spins.
  int wake_one(bool resters_too) noexcept {
    do {
      if (!start_spinning()) return -1;
      const int woken = claim_one(resters_too);
      if (woken >= 0) return woken;
      stop_spinning();
      // The sleeper that was seen got up by itself. Whoever had work since then took us for one who
      // looks for it; seq_cst: of us and a sleeper that missed that work one sees the other.
    } while (anybody_listed(resters_too));
    return -1;
  }

  // Wakes the first `count` workers for good: a sleep after it ends at once.
  void wake_all(std::uint32_t count) noexcept {
    for (std::uint32_t index = 0; index < count; ++index) rouse(index);
  }
  // Has those of the first `count` look around who sleep, after something that they look at between
  // lie_down() and sleep(); they are no spinners for it.
  void rouse_sleepers(std::uint32_t count) noexcept {
    for (std::uint32_t index = 0; index < count; ++index) {
      if (is_asleep(index)) rouse(index);
    }
  }
  std::uint64_t wakeups() const noexcept { return wakeups_.load(base::relaxed); }

  // Announces the worker as asleep; it must look at all queues once more before sleep().
  void lie_down(std::uint32_t index) noexcept {
    beds_[index].word.store(0, base::relaxed);  // relaxed: nobody may wake us before the bit is set
    asleep_[index / 64].fetch_or(bit(index), base::seq_cst);
    sleepers_.fetch_add(1, base::seq_cst);
  }

  // Around lie_down() and get_up(), for a sleep with a bound.
  void begin_rest(std::uint32_t index) noexcept {
    resting_[index / 64].fetch_or(bit(index), base::relaxed);  // relaxed, all: see wake_one()
    resters_.fetch_add(1, base::relaxed);
  }
  void end_rest(std::uint32_t index) noexcept {
    resters_.fetch_sub(1, base::relaxed);
    resting_[index / 64].fetch_and(~bit(index), base::relaxed);
  }

  // Sleeps until woken or `until`, in the poller when its seat is free, else on the futex, and then
  // the worker is away after it.
  void sleep(std::uint32_t index, base::deadline until, base::absence& away) noexcept {
    if (has_events() && take_seat(index)) {
      away.end();  // who polls wakes threads
      // seq_cst: after the seat is taken; pairs with rouse(), of the two one sees the other
      if (beds_[index].word.load(base::seq_cst) == 0) events->poll(until);
      leave_seat();
    } else {
      away.begin();
      using base::futex_wait;
      futex_wait(beds_[index].word, 0, until);
    }
  }

  // Whether anybody may wait for events: then a spinner looks in.
  bool has_events() const noexcept { return events != nullptr && events->in_use(); }
  // A guess: somebody waits for events, or looks for them.
  bool anybody_polls() const noexcept { return seat_.load(base::seq_cst) != nobody; }
  // Only looks for events, unless somebody waits for them already. Anybody who is awake.
  void look_in(std::uint32_t index) noexcept {
    if (!has_events() || !take_seat(index)) return;
    events->poll(base::deadline::at(0));
    leave_seat();
  }

  // A look from anywhere, after a change of something that the waker looks at: seq_cst.
  bool is_asleep(std::uint32_t index) const noexcept {
    return (asleep_[index / 64].load(base::seq_cst) & bit(index)) != 0;
  }

  // The watch. Before lying down to sleep: whether somebody else gets up by `earliest`.
  bool somebody_watches(std::int64_t earliest) const noexcept {
    // seq_cst: after lie_down(). What is seen may be gone at once, and then its owner is awake.
    return watched_until_.load(base::seq_cst) <= earliest;
  }
  // The caller sleeps until then, as the watch or as one who follows it. Either may be overwritten
  // by another's: one watch too many, or a follower that is not seen, does no harm.
  void begin_watch(std::int64_t until) noexcept { watched_until_.store(until, base::seq_cst); }
  void end_watch(std::int64_t until) noexcept { clear(watched_until_, until); }
  void begin_following(std::int64_t until) noexcept {
    followed_until_.store(until, base::relaxed);  // relaxed: a guess for who wakes nobody
  }
  void end_following(std::int64_t until) noexcept { clear(followed_until_, until); }
  // A guess: somebody sleeps, but no longer than that.
  bool somebody_follows(std::int64_t at_most) const noexcept {
    return followed_until_.load(base::relaxed) <= at_most;
  }

  // After lie_down(), slept or not. True when somebody woke us: we are the spinner then.
  bool get_up(std::uint32_t index) noexcept {
    sleepers_.fetch_sub(1, base::seq_cst);
    // acq_rel: pairs with wake_one(); if the bit is gone the waker has counted us as spinner
    return (asleep_[index / 64].fetch_and(~bit(index), base::acq_rel) & bit(index)) == 0;
  }

 private:
  static constexpr std::uint32_t words = (Max + 63) / 64;
  static constexpr std::uint32_t nobody = ~std::uint32_t{0};
  static constexpr std::int64_t never = base::deadline::never().nanoseconds();
  static std::uint64_t bit(std::uint32_t index) noexcept { return std::uint64_t{1} << index % 64; }

  // Those of a word of the list who may be woken.
  std::uint64_t listed(std::uint32_t word, bool resters_too) const noexcept {
    // relaxed: a rest that begins or ends now is as good as one that does so a moment later
    const std::uint64_t spared = resters_too ? 0 : resting_[word].load(base::relaxed);
    return asleep_[word].load(base::seq_cst) & ~spared;
  }
  bool anybody_listed(bool resters_too) const noexcept {
    for (std::uint32_t i = 0; i < words; ++i) {
      if (listed(i, resters_too) != 0) return true;
    }
    return false;
  }

  // By who counts as the spinner, which the one who is woken then is; -1 when there is none.
  int claim_one(bool resters_too) noexcept {
    const std::uint32_t seated = seat_.load(base::relaxed);  // relaxed: a preference
    for (std::uint32_t i = 0; i < words; ++i) {
      const std::uint64_t last = seated != nobody && seated / 64 == i ? bit(seated) : 0;
      while (const std::uint64_t set = listed(i, resters_too) & ~last) {
        const std::uint32_t index = i * 64 + static_cast<std::uint32_t>(__builtin_ctzll(set));
        if (claim(index)) return static_cast<int>(index);
      }
    }
    return seated != nobody && claim(seated) ? static_cast<int>(seated) : -1;
  }

  // True when the worker slept: it is woken now.
  bool claim(std::uint32_t index) noexcept {
    // seq_cst: whoever clears the bit owns the wake-up, and looks at the claim after it
    if ((asleep_[index / 64].fetch_and(~bit(index), base::seq_cst) & bit(index)) == 0) return false;
    wakeups_.fetch_add(1, base::relaxed);  // relaxed: a statistic
    rouse(index);
    return true;
  }

  void rouse(std::uint32_t index) noexcept {
    beds_[index].word.store(1, base::seq_cst);  // seq_cst: before the look at the seat; see sleep()
    if (seat_.load(base::seq_cst) == index) {
      events->interrupt();
    } else {
      using base::futex_wake;
      futex_wake(beds_[index].word);
    }
  }

  static void clear(Atomic<std::int64_t>& word, std::int64_t own) noexcept {
    // relaxed, both: whoever finds the old value sleeps a doze too long at most
    word.compare_exchange_strong(own, never, base::relaxed, base::relaxed);
  }

  bool take_seat(std::uint32_t index) noexcept {
    std::uint32_t free = nobody;
    // acquire: pairs with leave_seat(), hands over what the poller keeps; seq_cst: see sleep()
    return seat_.load(base::relaxed) == nobody &&  // relaxed: a look before the dear part
           seat_.compare_exchange_strong(free, index, base::seq_cst, base::relaxed);
  }
  void leave_seat() noexcept { seat_.store(nobody, base::release); }  // pairs with take_seat()

  struct alignas(base::cache_line_bytes) bed {
    Atomic<std::uint32_t> word{0};
  };

  alignas(base::false_sharing_bytes) Atomic<std::uint32_t> spinners_{0};
  Atomic<std::uint32_t> sleepers_{0};
  Atomic<std::uint32_t> resters_{0};
  Atomic<std::uint64_t> wakeups_{0};
  // Who may call poll().
  Atomic<std::uint32_t> seat_{nobody};
  Atomic<std::int64_t> watched_until_{never};
  Atomic<std::int64_t> followed_until_{never};
  alignas(base::false_sharing_bytes) Atomic<std::uint64_t> asleep_[words] = {};
  Atomic<std::uint64_t> resting_[words] = {};
  bed beds_[Max];
};

using idle_workers = basic_idle_workers<>;

}  // namespace treadle::core
