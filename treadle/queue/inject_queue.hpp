// The queue that belongs to no processor: work from foreign kernel threads and overflow.
//
// A lock around a linked list: producers and consumers come in batches, so the lock is taken
// rarely. Rejected: a lock-free MPMC queue, which needs nodes to be allocated and reclaimed.
// Any kernel thread may call everything here.
#pragma once

#include <cstddef>

#include "treadle/base/atomic.hpp"
#include "treadle/base/chain.hpp"
#include "treadle/base/spin_lock.hpp"

namespace treadle::queue {

template <class T>
class inject_queue {
 public:
  void push(T* item) noexcept {
    const base::guard hold(lock_);
    items_.push_back(item);
    publish_size();
  }

  void push(base::chain<T>& items) noexcept {
    const base::guard hold(lock_);
    items_.append(items);
    publish_size();
  }

  // Takes up to `count` items in order.
  base::chain<T> pop(std::size_t count) noexcept {
    base::chain<T> taken;
    if (looks_empty()) return taken;
    const base::guard hold(lock_);
    while (taken.size() < count) {
      T* item = items_.pop_front();
      if (item == nullptr) break;
      taken.push_back(item);
    }
    publish_size();
    return taken;
  }

  // seq_cst: an idle worker's last look before it sleeps must not pass its own announcement,
  // or it and the producer (who looks for sleepers after pushing) could miss each other.
  std::size_t size() const noexcept { return size_.load(base::seq_cst); }
  bool looks_empty() const noexcept { return size() == 0; }

 private:
  // seq_cst: see size(); an x86 exchange, paid once a batch.
  void publish_size() noexcept { size_.store(items_.size(), base::seq_cst); }

  base::spin_lock lock_;
  // Guarded by lock_.
  base::chain<T> items_;
  // Written under lock_, read by all.
  base::atomic<std::size_t> size_{0};
};

}  // namespace treadle::queue
