// The explorer in the place of io::ground: parking, eventfds and locks are its.
//
// Who parks is made ready by a token, of which one is kept at most, and by nothing else.
#pragma once

#include <array>
#include <cstddef>

#include "tests/support/interleave.hpp"
#include "treadle/sched/scheduler.hpp"

namespace treadle::interleave {

// Its end is a step of its own: what comes after it others may overtake.
class explored_spin_lock {
 public:
  void lock() {
    wait_until([this] { return !held_; }, "lock");
    held_ = true;
  }
  void unlock() {
    end_.store(0);
    held_ = false;
  }

 private:
  bool held_ = false;
  explored_atomic<int> end_;
};

struct explored_io {
  template <class T>
  using atomic = explored_atomic<T>;
  using lock = explored_spin_lock;
  static constexpr unsigned woken_at_once = 1;

  static constexpr std::size_t threads_max = 4;
  static inline std::array<core::thread, threads_max> records;
  // Of the schedule that runs.
  static inline std::array<explored_atomic<int>, threads_max> tokens;
  static inline std::array<explored_atomic<int>, threads_max> bells;

  static void reset() {
    for (auto& one : tokens) one.store(0);
    for (auto& one : bells) one.store(0);
  }
  static core::thread& record(std::size_t index) { return records[index]; }
  static core::thread& self() { return records[interleave::self()]; }

  static void unpark(core::thread& who) {
    tokens[static_cast<std::size_t>(&who - records.data())].store(1);
  }
  // A limited wait may end at any time that there is no token.
  static core::wake park(core::thread& self, base::deadline until) {
    const auto& mine = tokens[static_cast<std::size_t>(&self - records.data())];
    if (mine.peek() == 0 && !until.is_never() && choose(2) == 1) return core::wake::timed_out;
    park();
    return core::wake::token;
  }
  static void park() {
    auto& mine = tokens[interleave::self()];
    wait_until([&mine] { return mine.peek() != 0; }, "park");
    mine.store(0);
  }
  // An eventfd's number is its owner's index. Who waits for it reads it.
  static void ring(int eventfd) { bells[static_cast<std::size_t>(eventfd)].store(1); }
};

}  // namespace treadle::interleave
