// What other kernel threads ask of the one that owns the sockets' ring.
//
// put() and ask_for_all_back() from any thread, which then rouses the owner; has_any() and take()
// by the owner. An owner that missed something has been roused, and looks again.
#pragma once

#include <cstdint>

#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/ground.hpp"

namespace treadle::io {

// A Release has a `next`, which is ours. Guess: more orders than are connected or closed while the
// ring's kernel thread is away for a moment.
template <class Release = file_release, unsigned OrdersMax = 256, class Ground = ground>
class basic_uring_inbox {
 public:
  // What needs no answer.
  struct order {
    int number;
    std::uint32_t lifetime;
    watch_kind what;
    bool begins;
  };
  static constexpr unsigned orders_max = OrdersMax;

  // False when it is full.
  [[nodiscard]] bool put(const order& one) noexcept {
    const base::guard hold(lock_);
    if (count_ == orders_max) return false;
    orders_[count_++] = one;
    any_.store(true, base::relaxed);  // relaxed: under the lock, and the owner is roused
    return true;
  }
  // It is told when it is done.
  void put(Release& release) noexcept {
    const base::guard hold(lock_);
    release.next = releases_;
    releases_ = &release;
    any_.store(true, base::relaxed);  // relaxed: as above
  }
  // Instead of an order for which there was no room: no request is left, and who waits begins anew.
  void ask_for_all_back() noexcept {
    all_back_.store(true, base::relaxed);  // relaxed: the owner is roused
  }

  bool has_any() const noexcept {
    // relaxed, both: who missed them is roused
    return any_.load(base::relaxed) || all_back_.load(base::relaxed);
  }
  // How many orders. `all_back` also means what these begin.
  unsigned take(order (&into)[orders_max], Release*& releases, bool& all_back) noexcept {
    const base::guard hold(lock_);
    const unsigned count = count_;
    for (unsigned i = 0; i < count; ++i) into[i] = orders_[i];
    count_ = 0;
    releases = releases_;
    releases_ = nullptr;
    any_.store(false, base::relaxed);                     // relaxed: under the lock
    all_back = all_back_.exchange(false, base::relaxed);  // relaxed: as above
    return count;
  }

 private:
  typename Ground::lock lock_;
  // Guarded by lock_.
  unsigned count_ = 0;
  order orders_[orders_max];
  Release* releases_ = nullptr;
  // Atomic: whether there is anything, or too much.
  typename Ground::template atomic<bool> any_{false};
  typename Ground::template atomic<bool> all_back_{false};
};

using uring_inbox = basic_uring_inbox<>;

}  // namespace treadle::io
