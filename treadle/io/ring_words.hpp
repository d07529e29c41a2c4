// The words between those who call for io_uring and the kernel thread that owns the ring.
//
// ring_post: what callers post, the newest first, and whether the owner sleeps. Of a poster and an
// owner that falls asleep one sees the other: the one pushes and then looks whether the owner
// sleeps, the other says so and then looks whether there is anything. A poster that comes when the
// owner has just woken by itself rings in vain.
// ring_news: what a caller hears of its request. The last news that it waits for is the owner's
// last touch: the caller returns, and the request was on its stack.
// Rejected: a futex (the owner sleeps in the ring, where completions come).
#pragma once

#include <cstdint>

#include "treadle/io/ground.hpp"

namespace treadle::io {

// A Message has a `next`, which is ours.
template <class Message, class Ground = ground>
class ring_post {
 public:
  // Any kernel thread. True: the owner sleeps, and the caller must ring it. The message is not
  // touched any more: its request may be done by then, by an owner that woke by itself.
  [[nodiscard]] bool put(Message& one) noexcept {
    Message* seen = incoming_.load(base::relaxed);  // relaxed: validated by the CAS
    do {
      one.next = seen;
      // seq_cst: the push before the look at asleep_; see may_sleep()
    } while (!incoming_.compare_exchange_weak(seen, &one, base::seq_cst, base::relaxed));
    // seq_cst: of us and the owner that falls asleep one sees the other
    return asleep_.load(base::seq_cst) && asleep_.exchange(false, base::seq_cst);
  }

  // The owner: all, in the order in which they were put.
  Message* take() noexcept {
    // acquire: pairs with put(), publishes the messages and their requests
    Message* newest_first = incoming_.exchange(nullptr, base::acquire);
    Message* in_order = nullptr;
    while (newest_first != nullptr) {
      Message* one = newest_first;
      newest_first = one->next;
      one->next = in_order;
      in_order = one;
    }
    return in_order;
  }

  // The owner. True: nothing is there, and who puts something rings; then get_up() follows.
  [[nodiscard]] bool may_sleep() noexcept {
    asleep_.store(true, base::seq_cst);
    // seq_cst: of us and a poster one sees the other
    if (incoming_.load(base::seq_cst) == nullptr) return true;
    get_up();
    return false;
  }
  void get_up() noexcept {
    asleep_.store(false, base::relaxed);  // relaxed: a late poster rings in vain
  }

 private:
  typename Ground::template atomic<Message*> incoming_{nullptr};
  typename Ground::template atomic<bool> asleep_{false};
};

template <class Ground = ground>
class ring_news {
 public:
  // cancel_seen: the owner knows that the request is to be taken back, and touches it for that no
  // more.
  enum : std::uint32_t { is_complete = 1, cancel_seen = 2 };

  explicit ring_news(core::thread& waiter) noexcept : waiter_(waiter) {}

  // The caller.
  bool has(std::uint32_t wanted) const noexcept {
    return (heard_.load(base::acquire) & wanted) == wanted;  // pairs with tell()
  }
  // The owner; its last touch, unless more news is waited for.
  void tell(std::uint32_t what) noexcept {
    core::thread& who = waiter_;
    heard_.fetch_or(what, base::acq_rel);  // release: pairs with has(), publishes the result
    Ground::unpark(who);
  }

 private:
  core::thread& waiter_;
  typename Ground::template atomic<std::uint32_t> heard_{0};
};

}  // namespace treadle::io
