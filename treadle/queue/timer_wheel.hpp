// Timers by deadline: buckets by time, and a small heap for those of the running millisecond.
//
// A sleeping thread brings its own node, which lies on its stack, and stacks of sleepers are cold:
// what counts is how often a node is touched. Here a node within the next second is touched when it
// goes in, when its millisecond comes, and when it fires a moment later. Later ones lie in wider
// buckets, and are touched once more for each row that they come down.
//
// Time is divided into ticks of 2^20 ns. Row 0 has a bucket for each of 1024 ticks; row k one for
// each of 64 spans of 2^(24 + 6k) ns; all turn with the clock. A bucket is poured when the earliest
// deadline in it has come, never before, so that nobody wakes up only to pour. Its nodes go to the
// heap, or to a lower row. The heap orders exactly, so a timer fires neither early nor out of
// order.
//
// insert() and remove() O(1), or O(log n) among those of one tick; nothing is allocated.
// Invariants: each node's bucket is less than a whole turn after `tick_` in its row, so a bucket
// holds one span only. No node with a deadline before tick_'s tick lies in a bucket.
// Not thread-safe: the processor's timer lock guards it.
// Rejected: the pairing heap for all (every step of it touches cold nodes: 1.7 us a timer with
// 100,000 of them), a heap in an array (must grow, and taking one out needs its index, which lies
// in the node), rows of the digits of the deadline that do not turn (a whole row's worth is poured
// at once when the digit above changes).
// Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987.
#pragma once

#include <limits>

#include "treadle/queue/timer_buckets.hpp"
#include "treadle/queue/timer_heap.hpp"

namespace treadle::queue {

class timer_wheel {
 public:
  static constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

  bool empty() const noexcept { return size_ == 0; }

  // No deadline is earlier; no_deadline when empty. Exact but after a remove(): then it may be too
  // low until that time has come and pop_expired() has found nothing.
  std::int64_t earliest() const noexcept {
    if (near_.empty() || bound_ < near_.first()->deadline) return bound_;
    return near_.first()->deadline;
  }

  // `now` is the clock's time, or a moment before.
  void insert(base::timer_node* node, std::int64_t now) noexcept {
    // Nothing in a bucket is due, so all may turn. An old `now` turns nothing back.
    if (now < bound_ && tick_of(now) > tick_) tick_ = tick_of(now);
    ++size_;
    file(node);
  }

  void remove(base::timer_node* node) noexcept {
    if (node->place == in_heap) {
      near_.remove(node);
    } else if (node->place < row_0::size) {
      fine_.remove(node, node->place);
    } else {
      const std::size_t number = node->place - row_0::size;
      coarse_[number / row_k::size].remove(node, number % row_k::size);
    }
    leave(node);
  }

  // Takes the earliest out if it is due, else returns null.
  base::timer_node* pop_expired(std::int64_t now) noexcept {
    if (bound_ <= now) pour(now);
    base::timer_node* first = near_.first();
    if (first == nullptr || first->deadline > now) return nullptr;
    near_.remove(first);
    leave(first);
    return first;
  }

 private:
  // Guess: of a second's 100,000 timers a tick has 100, which stay in the first-level cache; and
  // 1024 ticks, a second, are longer than most sleeps.
  static constexpr int tick_bits = 20;
  static constexpr int row_0_bits = 10;
  static constexpr int row_k_bits = 6;
  // Together they span all of the clock: 20 + 10 + 6 * 6 >= 63 bits.
  static constexpr int coarse_rows = 6;
  static_assert(tick_bits + row_0_bits + coarse_rows * row_k_bits >= 63);

  using row_0 = timer_buckets<std::size_t{1} << row_0_bits>;
  using row_k = timer_buckets<std::size_t{1} << row_k_bits>;

  static constexpr std::uint16_t in_heap = base::timer_node::unqueued - 1;
  static_assert(row_0::size + coarse_rows * row_k::size <= in_heap);

  static std::int64_t tick_of(std::int64_t time) noexcept { return time >> tick_bits; }
  static constexpr int shift_of(int row) noexcept { return row_0_bits + row * row_k_bits; }

  template <class Row>
  static std::size_t bucket_at(std::int64_t turns) noexcept {
    return static_cast<std::size_t>(turns) % Row::size;
  }

  void leave(base::timer_node* node) noexcept {
    node->place = base::timer_node::unqueued;
    if (--size_ == 0) bound_ = no_deadline;
  }

  // Into the heap or the lowest row that reaches as far.
  void file(base::timer_node* node) noexcept {
    const std::int64_t tick = tick_of(node->deadline);
    if (tick <= tick_) {
      node->place = in_heap;
      near_.insert(node);
      return;
    }
    if (node->deadline < bound_) bound_ = node->deadline;
    if (tick - tick_ < static_cast<std::int64_t>(row_0::size)) {
      const std::size_t bucket = bucket_at<row_0>(tick);
      node->place = static_cast<std::uint16_t>(bucket);
      fine_.push(node, bucket);
      return;
    }
    int row = 0;
    while ((tick >> shift_of(row)) - (tick_ >> shift_of(row)) >=
           static_cast<std::int64_t>(row_k::size)) {
      ++row;
    }
    const std::size_t bucket = bucket_at<row_k>(tick >> shift_of(row));
    node->place = static_cast<std::uint16_t>(row_0::size + row * row_k::size + bucket);
    coarse_[row].push(node, bucket);
  }

  // Takes the buckets that are due out of a row; their lists hang together by `back`.
  template <class Row>
  void collect(Row& row, std::size_t from, std::int64_t now, base::timer_node*& lists) noexcept {
    for (;;) {
      const std::size_t bucket = row.first_filled(from);
      if (bucket == Row::none) return;
      if (row.bound(bucket) > now) {
        if (row.bound(bucket) < bound_) bound_ = row.bound(bucket);
        return;
      }
      base::timer_node* list = row.take(bucket);
      list->back = lists;
      lists = list;
    }
  }

  void pour(std::int64_t now) noexcept {
    base::timer_node* lists = nullptr;
    bound_ = no_deadline;
    collect(fine_, bucket_at<row_0>(tick_), now, lists);
    for (int row = 0; row < coarse_rows; ++row) {
      collect(coarse_[row], bucket_at<row_k>(tick_ >> shift_of(row)), now, lists);
    }
    // What is left in the buckets is later than now, which may be older than the last one.
    if (tick_of(now) > tick_) tick_ = tick_of(now);
    while (lists != nullptr) {
      base::timer_node* node = lists;
      lists = lists->back;
      while (node != nullptr) {
        row_0::fetch_ahead(node);
        base::timer_node* const next = node->next;
        file(node);
        node = next;
      }
    }
  }

  timer_heap near_;
  std::int64_t bound_ = no_deadline;  // of all that lie in buckets
  std::int64_t tick_ = 0;             // the tick up to which nodes go to the heap
  std::size_t size_ = 0;
  row_0 fine_;
  row_k coarse_[coarse_rows];
};

}  // namespace treadle::queue
