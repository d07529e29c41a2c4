// Where somebody who uses an object says so: it is not destroyed while its address stands here.
//
// Rules: the user writes the address, passes a fence, and looks whether the object can still be
// found; only then may it be used. Who destroys has made it unfindable, passes a fence, and looks
// at all cells. One of the two sees the other. The user's fence costs nothing where the other side
// can pay for both (base/asymmetric_fence.hpp).
// Source: Michael, "Hazard pointers: safe memory reclamation for lock-free objects", IEEE TPDS
// 2004.
#pragma once

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"

namespace treadle::sync {

struct hazard_ground {
  template <class T>
  using atomic = base::atomic<T>;
  // Fixed before the first cell is used.
  static bool destroyer_pays() noexcept { return base::asymmetric_fence::are_usable(); }
  static void light_fence() noexcept { base::asymmetric_fence::light(); }
  static void full_fence() noexcept { base::asymmetric_fence::full(); }
};

// A line each: cells are written all the time, by threads on different processors.
template <class Ground>
class alignas(base::cache_line_bytes) basic_hazard_cell {
 public:
  // By its owner, who must look again after this whether the object can still be found.
  void protect(const void* address) noexcept {
    if (Ground::destroyer_pays()) [[likely]] {
      // release: as in clear(), for what it protected before
      address_.store(address, base::release);
      Ground::light_fence();
    } else {
      // seq_cst: with the fence, one of the two sees the other
      address_.exchange(address, base::seq_cst);
      Ground::full_fence();
    }
  }
  void clear() noexcept {
    address_.store(nullptr, base::release);  // pairs with address(): we have read the object before
  }
  const void* address() const noexcept {
    return address_.load(base::acquire);  // pairs with clear()
  }

  basic_hazard_cell* below = nullptr;  // guarded by the lock of the free cells, while it is free

 private:
  typename Ground::template atomic<const void*> address_{nullptr};
};

using hazard_cell = basic_hazard_cell<hazard_ground>;

}  // namespace treadle::sync
