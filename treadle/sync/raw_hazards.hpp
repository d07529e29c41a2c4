// All cells of hazard pointers, and the objects that wait until no cell has their address.
//
// Cells belong to hazard pointers and not to threads, so it does not matter where a thread runs or
// whether it is parked. They lie in blocks that are never freed, and are used again.
// Retired objects are put in one list; the thread whose object makes it long enough takes all of
// it, looks at all cells once, destroys what stands in none and puts the rest back. Long enough is
// a constant and twice the number of cells: so a look frees more than half of what it finds, its
// price per object is constant however many cells there are, and at most that many objects wait,
// not counting what threads that destroy just now have in their hands.
// Rejected: a list per thread (a million threads would each keep some), a thread that destroys.
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/chain.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sync/hazard_cell.hpp"
#include "treadle/sync/retired.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::sync {

struct hazard_retired : retired {
  const void* address = nullptr;  // what stands in the cell of who uses it
};

class raw_hazards {
 public:
  constexpr raw_hazards() noexcept = default;
  raw_hazards(const raw_hazards&) = delete;
  raw_hazards& operator=(const raw_hazards&) = delete;

  static raw_hazards& of_process() noexcept;

  // Null when there is no memory for more.
  [[nodiscard]] hazard_cell* take_cell() noexcept;
  void give_back(hazard_cell& cell) noexcept;

  // Destroys the object when nobody uses it. Never parks; may destroy others.
  void retire(hazard_retired& object) noexcept;
  // Destroys what nobody uses, however few.
  void reclaim() noexcept;

 private:
  struct block;
  class protected_set;

  void push(retired* first, retired* last, std::size_t count) noexcept;
  bool destroy_unused() noexcept;
  bool begin_destroying(core::thread& self) noexcept;
  void end_destroying(core::thread& self) noexcept;
  std::size_t enough() const noexcept;

  // Guess: a membarrier and a look at the cells, 5 us, for each so many objects at least.
  static constexpr std::size_t batch = 64;
  // Guess: more threads than that do not destroy at a time, but leave it to these.
  static constexpr std::size_t destroyers_max = 16;

  base::atomic<retired*> retired_{nullptr};  // the youngest, linked to the older ones
  base::atomic<std::size_t> waiting_{0};
  base::atomic<block*> blocks_{nullptr};
  base::atomic<std::size_t> cells_{0};
  // Who is destroying: a deleter that retires objects must not begin again.
  base::atomic<core::thread*> destroyers_[destroyers_max] = {};

  base::spin_lock lock_;
  // Guarded by lock_.
  hazard_cell* free_ = nullptr;
};

}  // namespace treadle::sync
