// Who looks after the workers of M:N: a standby thread per processor, and one monitor.
//
// A standby has class SCHED_IDLE, is pinned to the CPU of its processor's worker and always wants
// to run while the processor works: the kernel runs it when the worker stops, for whatever reason.
// It finds out why, and if the worker is blocked it wakes a spare, which makes sure and takes the
// processor (many_to_many_relief.cpp). It takes no lock and makes no call that could hold one of
// the kernel's for long, since it may be stopped for ever where others keep the CPU busy. When it
// runs and the worker is not blocked, the worker has moved: it follows. It is parked while its
// processor is idle or released; the monitor wakes it, which costs the worker nothing. Where one
// has been relieved lately, a worker that does not nap too often wakes it itself, as the next call
// that blocks may come before the monitor does.
// All of them share a table of descriptors that is not the program's, with the files that tell who
// is blocked: see blocked_probe.hpp. They take none of the program's signals.
// The monitor looks at all processors every so often, for what a starved standby does not see, and
// sleeps while all are idle. How often: look_pace.hpp.
// Included by the many_to_many sources only.
#pragma once

#include <pthread.h>

#include "treadle/sched/look_pace.hpp"
#include "treadle/sched/many_to_many.hpp"
#include "treadle/sched/monitor_bell.hpp"

namespace treadle::core {

struct many_to_many::vigil {
  explicit vigil(many_to_many& home) noexcept : all(home) {}
  ~vigil() { delete[] posts; }
  vigil(const vigil&) = delete;
  vigil& operator=(const vigil&) = delete;

  // Before there are workers: starts what the level asks for; one that cannot be had is lowered,
  // and the report says why.
  void open() noexcept;
  // When the crew is there, which the monitor watches from now on.
  void begin() noexcept;
  void close() noexcept;
  // By a member that has begun its probe.
  void meet() noexcept {
    // relaxed: begun before the crew, or never
    if (stage.load(base::relaxed) != stage_opening) bell.ring();
  }

  // For workers that begin to run what was idle.
  void stir(const processor& which) noexcept {
    if (bell.is_dormant()) [[unlikely]]
      return bell.ring();
    if (posts == nullptr) return;
    post& one = posts[which.index];
    // relaxed, both: guesses
    if (one.escorts.load(base::relaxed) && one.awake.load(base::relaxed) == 0) wake_standby(one);
  }
  // A guess: somebody has just been found blocked, and this one naps seldom.
  bool escorts(const processor& which) const noexcept {
    return posts != nullptr && posts[which.index].escorts.load(base::relaxed);
  }

 private:
  struct post {
    vigil* home = nullptr;
    processor* of = nullptr;
    pthread_t kernel_thread{};
    bool runs = false;
    // Standby only.
    int cpu = -1;
    std::int64_t blocked_since = 0;
    // Monitor only: what it saw last, and since when.
    std::uint64_t word = 0;
    unsigned ticks = 0;
    std::int64_t since = 0;
    bool is_new = true;         // the look before saw something else
    bool keeps_up = false;      // and as many turns
    std::int64_t rate = 0;      // turns a millisecond between the last two looks, if it was up
    std::int64_t stops_by = 0;  // if nothing is against it; 0: the slice's timer is not armed
    std::uint64_t sleeps = 0;
    bool slept = false;
    bool alerted = false;
    // Atomic. A futex: 0 parked.
    base::atomic<std::uint32_t> awake{0};
    base::atomic<bool> escorts{false};       // whoever begins to run is to wake the standby
    base::atomic<std::uint32_t> started{0};  // a futex; the kernel's number of the thread
  };

  // Asks the kernel for slices as short as it has them, in exchange for coming soon. May fail.
  static void want_short_slices() noexcept;
  void give_up(const char* why) noexcept;
  void find_level() noexcept;
  bool open_standbys() noexcept;
  void close_standbys() noexcept;
  static void wake_standby(post& one) noexcept {
    one.awake.store(1, base::seq_cst);  // pairs with stand_by(), and with park()
    base::futex_wake(one.awake);
  }

  static void* standby_main(void* argument);
  void stand_by(post& mine) noexcept;
  void look_from(post& mine) noexcept;
  void follow(post& mine, const crew_member& holder) noexcept;
  void park(post& mine) noexcept;

  static void* monitor_main(void* argument);
  void monitor() noexcept;
  void open_probes() noexcept;
  void look_at(post& one, std::int64_t now, std::int64_t span) noexcept;
  void look_at_sleeper(const post& one, claim::seen seen, std::int64_t now,
                       std::uint64_t naps) noexcept;
  void bring_relief(post& one, const crew_member& holder) noexcept;
  bool overstays(const post& one, const crew_member& holder, std::int64_t now) const noexcept;
  void watch_slice(post& one, crew_member& holder, std::int64_t now) noexcept;
  std::int64_t arms_after() const noexcept;
  void look_at_guests() noexcept;
  bool is_holder(std::uint32_t number) const noexcept;
  void sleep_till_stirred(std::uint32_t looked) noexcept;

  many_to_many& all;
  post* posts = nullptr;
  pthread_t monitor_thread{};
  bool monitor_runs = false;
  // Monitor only.
  activation_level first_way = activation_level::off;  // of opening probes
  std::uint32_t members_met = 0;  // the first so many; the others' are not open
  std::uint32_t next_guest = 0;
  std::int64_t trims_at = 0;  // when it looks after stacks that nobody has needed
  bool escorting = false;     // this round: who begins to run should wake its standby
  // By this round's looks; and when the next hog must be stopped.
  look_pace::round round;
  std::int64_t next_slice_over = 0;
  // A futex: how far the monitor's thread may go.
  static constexpr std::uint32_t stage_opening = 0;
  static constexpr std::uint32_t stage_ready = 1;  // the report is made
  static constexpr std::uint32_t stage_watching = 2;
  base::atomic<std::uint32_t> stage{stage_opening};
  base::atomic<bool> closing{false};
  monitor_bell bell;
};

}  // namespace treadle::core
