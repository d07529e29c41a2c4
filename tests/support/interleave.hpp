// Explores every interleaving of a small concurrent program, by running it again and again.
//
// A program is a state and k thread functions over it, run as virtual threads on one kernel thread.
// Before each operation of an explored_atomic the explorer decides who goes next; a depth-first
// search goes through all the decisions. At the end of each schedule the check looks at the state.
//
// What it covers: all *sequentially consistent* interleavings within the bounds. Memory orders are
// accepted and ignored, so a missing acquire or release is not found here; the thread sanitizer
// and the stress tests look for those.
//
// Rules for a program:
//   - every word that two threads touch at the same time is an explored_atomic or explored_plain;
//   - code before a thread's first operation runs when the schedule starts, in order of index;
//   - a loop that waits for another thread calls pause() or wait_until(), else it never ends;
//   - a thread holds no heap memory of its own over an operation: a schedule that is given up
//     (fault found, or pruned) leaves the stacks as they are and runs no destructors on them;
//   - a thread does not perform operations inside a catch block.
// Rejected: real threads with hand-offs: 5 microseconds a switch.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace treadle::interleave {

inline constexpr unsigned unbounded = ~0U;

// Pruning by sleep sets (Godefroid 1996) leaves out schedules that differ only in the order of
// operations that commute; every reachable state is still visited. A bound on preemptions and
// sleep sets do not combine soundly, so a bound turns the pruning off.
struct options {
  unsigned preemptions_max = unbounded;      // switches away from a thread that could go on
  std::uint64_t schedules_max = 20'000'000;  // guess: half a minute; a test that meets it fails
  std::size_t steps_max = 2'000;             // guess: far above any bounded program here
  unsigned spurious_failures_max = 0;        // of compare_exchange_weak, in one schedule
  bool sleep_sets = true;
};

struct verdict {
  std::uint64_t schedules = 0;  // ran to the end
  std::uint64_t pruned = 0;     // given up half way: equal to a schedule seen before
  bool complete = false;        // no bound but the preemption bound was met, and no fault found
  std::string fault;            // empty: none
  std::string trace;            // the operations of the faulty schedule, one a line

  [[nodiscard]] bool good() const { return complete && fault.empty(); }
  [[nodiscard]] std::string report() const;
};

// In a virtual thread a false condition ends the exploration; in a check likewise.
void require(bool condition, const char* what);

// Another operation of some thread must have taken effect before this thread goes on.
void pause();

// One of the values 0 .. count-1; the explorer tries them all.
[[nodiscard]] unsigned choose(unsigned count);

// The index of the running virtual thread.
[[nodiscard]] unsigned self();

namespace detail {

enum class access : std::uint8_t { read, write };

struct operation {
  const void* object = nullptr;  // null: depends on every other operation
  access kind = access::write;
  const char* what = "";
  bool (*ready)(void*) = nullptr;  // null: always ready
  void* argument = nullptr;
};

// Returns when it is this virtual thread's turn. Outside a schedule it does nothing.
void point(const operation& next);
void note_value(std::uint64_t value);
void block_on(const void* object);
void notify(const void* object, bool all);
[[nodiscard]] bool spurious_failure();

template <class T>
std::uint64_t as_number(const T& value) {
  if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return static_cast<std::uint64_t>(value);
  } else if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<std::uintptr_t>(value);
  } else {
    return 0;
  }
}

struct program {
  std::vector<std::function<void()>> threads;
  std::function<void()> check;
};

verdict explore(const options& bounds, const std::function<program()>& make);

}  // namespace detail

// Blocks the virtual thread until the condition holds. The condition may read explored_atomics
// with peek() only. When nobody can make it true, the explorer reports a deadlock.
template <class Condition>
void wait_until(Condition condition, const char* what = "wait_until") {
  detail::operation next;
  next.kind = detail::access::read;
  next.what = what;
  next.ready = [](void* c) { return static_cast<bool>((*static_cast<Condition*>(c))()); };
  next.argument = &condition;
  detail::point(next);
}

// Runs the threads over a fresh State in every schedule.
template <class State>
verdict explore(const options& bounds, std::vector<std::function<void(State&)>> threads,
                std::function<void(State&)> check) {
  return detail::explore(bounds, [&] {
    auto state = std::make_shared<State>();
    detail::program made;
    for (const auto& thread : threads) {
      made.threads.push_back([state, &thread] { thread(*state); });
    }
    made.check = [state, &check] { check(*state); };
    return made;
  });
}

// std::atomic's interface; every operation is one choice point and then takes effect at once.
template <class T>
class explored_atomic {
 public:
  using value_type = T;
  static constexpr bool is_always_lock_free = true;

  explored_atomic() noexcept = default;
  explored_atomic(T value) noexcept : value_(value) {}  // NOLINT: implicit, as std::atomic
  explored_atomic(const explored_atomic&) = delete;
  explored_atomic& operator=(const explored_atomic&) = delete;

  [[nodiscard]] bool is_lock_free() const noexcept { return true; }
  [[nodiscard]] T peek() const noexcept { return value_; }  // no choice point

  T load(std::memory_order = std::memory_order_seq_cst) const noexcept {
    step(detail::access::read, "load");
    return noted();
  }
  void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    step(detail::access::write, "store");
    value_ = value;
    static_cast<void>(noted());
  }
  T exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    return modify("exchange", [&](T) { return value; });
  }
  bool compare_exchange_strong(T& expected, T desired,
                               std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) noexcept {
    step(detail::access::write, "compare_exchange");
    const bool equal = value_ == expected;
    if (equal) {
      value_ = desired;
    } else {
      expected = value_;
    }
    static_cast<void>(noted());
    return equal;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                             std::memory_order = std::memory_order_seq_cst) noexcept {
    if (detail::spurious_failure()) {
      step(detail::access::read, "compare_exchange_weak (spurious failure)");
      expected = noted();
      return false;
    }
    return compare_exchange_strong(expected, desired);
  }

  template <class U>
  T fetch_add(U by, std::memory_order = std::memory_order_seq_cst) noexcept {
    return modify("fetch_add", [&](T v) { return static_cast<T>(v + by); });
  }
  template <class U>
  T fetch_sub(U by, std::memory_order = std::memory_order_seq_cst) noexcept {
    return modify("fetch_sub", [&](T v) { return static_cast<T>(v - by); });
  }
  T fetch_and(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
    return modify("fetch_and", [&](T v) { return static_cast<T>(v & by); });
  }
  T fetch_or(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
    return modify("fetch_or", [&](T v) { return static_cast<T>(v | by); });
  }
  T fetch_xor(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
    return modify("fetch_xor", [&](T v) { return static_cast<T>(v ^ by); });
  }

  // As a futex: compares and sleeps in one step. Wakes only by a notify, never spuriously.
  void wait(T old, std::memory_order = std::memory_order_seq_cst) const noexcept {
    while (load() == old) {
      detail::block_on(this);
    }
  }
  void notify_one() noexcept { detail::notify(this, false); }
  void notify_all() noexcept { detail::notify(this, true); }

  operator T() const noexcept { return load(); }  // NOLINT: implicit, as std::atomic
  T operator=(T value) noexcept {                 // NOLINT: returns the value, as std::atomic
    store(value);
    return value;
  }

 private:
  void step(detail::access kind, const char* what) const noexcept {
    detail::point({.object = this, .kind = kind, .what = what});
  }
  T noted() const noexcept {
    detail::note_value(detail::as_number(value_));
    return value_;
  }
  template <class F>
  T modify(const char* what, F change) noexcept {
    step(detail::access::write, what);
    const T before = value_;
    value_ = change(before);
    static_cast<void>(noted());
    return before;
  }

  T value_{};
};

// A plain variable whose every access is a choice point: for programs that are meant to race.
template <class T>
class explored_plain {
 public:
  explored_plain() noexcept = default;
  explicit explored_plain(T value) noexcept : word_(value) {}
  [[nodiscard]] T get() const noexcept { return word_.load(); }
  void set(T value) noexcept { word_.store(value); }
  [[nodiscard]] T peek() const noexcept { return word_.peek(); }

 private:
  explored_atomic<T> word_;
};

}  // namespace treadle::interleave

#include "tests/support/interleave_schedule.hpp"
