// The explorer in the place of sync::ground: parking, granting, locks and who is calling are its.
//
// A limited wait may end at any time that it has not been granted, as on a time-out or a stop: the
// state machines do not care which. After `gone` is set nothing of the explored object may be
// touched; the words see to it.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <stop_token>
#include <utility>

#include "tests/support/interleave.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::interleave {

// Of the schedule that runs.
struct ground_state {
  static constexpr std::size_t threads_max = 4;
  static inline std::array<core::thread, threads_max> records;
  static inline std::array<explored_atomic<int>, threads_max> granted;
  static inline std::array<int, threads_max> waits;  // 0: does not; else in order of arrival
  static inline int arrivals = 0;
  static inline bool in_order = false;  // grants must be: for programs with one granter
  static inline bool gone = false;
  // For programs with several objects: those that are gone, each by itself.
  struct life {
    const void* begin;
    const void* end;
  };
  static inline std::array<life, 4> lives;
  static inline std::size_t ended_lives = 0;

  static void reset() {
    for (auto& one : granted) one.store(0);
    waits.fill(0);
    arrivals = 0;
    in_order = false;
    gone = false;
    ended_lives = 0;
  }
  // Who has stopped to wait is back: the test says when. False: we had not.
  static bool end_wait() { return std::exchange(waits[interleave::self()], 0) != 0; }
  static int waiting() {
    return static_cast<int>(waits.size() - std::count(waits.begin(), waits.end(), 0));
  }
  static void check_order(std::size_t next) {
    for (std::size_t i = 0; i < threads_max; ++i) {
      require(waits[i] == 0 || waits[i] >= waits[next] || granted[i].peek() != 0, "not in order");
    }
  }
  static bool in_schedule() { return detail::active->running != detail::nobody; }
  static void touch(const void* word = nullptr) {
    require(!gone, "touched after its end");
    for (std::size_t i = 0; i < ended_lives; ++i) {
      const std::less<> before;
      const bool is_outside = before(word, lives[i].begin) || !before(word, lives[i].end);
      require(is_outside, "touched after its end");
    }
  }
  template <class Object>
  static void end_life_of(const Object& object) {
    lives.at(ended_lives++) = {&object, &object + 1};
  }
};

// A word that nobody may touch when the object is gone. An operation is one with its effect, so
// that a look after it is as good.
template <class T>
class watched_atomic {
 public:
  watched_atomic() noexcept = default;
  explicit watched_atomic(T value) noexcept : word_(value) {}

  T load(std::memory_order) const noexcept {
    const T seen = word_.load();
    ground_state::touch(this);
    return seen;
  }
  void store(T value, std::memory_order) noexcept {
    word_.store(value);
    ground_state::touch(this);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order,
                               std::memory_order) noexcept {
    const bool done = word_.compare_exchange_strong(expected, desired);
    ground_state::touch(this);
    return done;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order,
                             std::memory_order) noexcept {
    const bool done = word_.compare_exchange_weak(expected, desired);
    ground_state::touch(this);
    return done;
  }
  T exchange(T value, std::memory_order) noexcept {
    const T before = word_.exchange(value);
    ground_state::touch(this);
    return before;
  }
  T fetch_and(T mask, std::memory_order) noexcept {
    const T before = word_.fetch_and(mask);
    ground_state::touch(this);
    return before;
  }
  T fetch_add(T more, std::memory_order) noexcept {
    const T before = word_.fetch_add(more);
    ground_state::touch(this);
    return before;
  }
  T fetch_sub(T less, std::memory_order) noexcept {
    const T before = word_.fetch_sub(less);
    ground_state::touch(this);
    return before;
  }

 private:
  explored_atomic<T> word_;
};

// The same where the short form of a lone kernel thread works: in one step, as the long form.
template <class T>
class watched_biased : public watched_atomic<T> {
 public:
  using watched_atomic<T>::watched_atomic;
  bool swap_if_alone(T expected, T desired) noexcept {
    return this->compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }
};

struct explored_pause {
  void once() { pause(); }
};

class explored_lock {
 public:
  void lock() {
    wait_until([this] { return !held_; }, "lock");
    ground_state::touch();
    held_ = true;
  }
  void unlock() {
    ground_state::touch();
    held_ = false;
  }

 private:
  bool held_ = false;
};

// The same, and its end is a step of its own: for objects that may be destroyed after it.
class explored_lock_with_end : public explored_lock {
 public:
  void unlock() {
    end_.store(0);
    explored_lock::unlock();
  }

 private:
  explored_atomic<int> end_;
};

template <template <class> class Word = watched_atomic, class Lock = explored_lock>
struct explored_ground : ground_state {
  template <class T>
  using atomic = Word<T>;
  template <class T>
  using flag = Word<T>;
  using list_lock = Lock;
  // A wait until then always ends early.
  static constexpr base::deadline too_soon = base::deadline::at(0);
  using pause = explored_pause;
  struct alarm {
    alarm(core::thread&, const std::stop_token&) noexcept {}
    bool has_rung() const noexcept { return true; }  // asked for after a wait that has ended early
  };

  static core::thread& self() { return records[in_schedule() ? interleave::self() : 0]; }
  static bool wait(sync::waiter& node, base::deadline until, const alarm* stop = nullptr) {
    explored_atomic<int>& mine = granted[index_of(node)];
    int& place = waits[index_of(node)];
    if (place == 0) place = ++arrivals;
    const bool limited = !until.is_never() || stop != nullptr;
    if (until.nanoseconds() == too_soon.nanoseconds() || (limited && choose(2) == 1)) {
      if (mine.load() == 0) return false;
    } else {
      wait_until([&mine] { return mine.peek() != 0; }, "park");
    }
    mine.store(0);
    return true;
  }
  static void wait_at_once(sync::waiter& node) { wait(node, base::deadline::never()); }
  static void give_way() { interleave::pause(); }
  static void grant(sync::waiter& node) {
    const std::size_t index = index_of(node);
    if (in_order) check_order(index);
    granted[index].store(1);
  }
  static std::size_t index_of(sync::waiter& node) {
    return static_cast<std::size_t>(node.who - records.data());
  }
};

}  // namespace treadle::interleave
