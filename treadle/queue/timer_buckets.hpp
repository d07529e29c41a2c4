// A row of buckets of timers: the spokes of one wheel of a timer_wheel.
//
// A bucket is a list through its nodes, and has a bound: no deadline in it is earlier. The bound is
// that of all that came in since the bucket was empty, so it may be too low when one was taken out.
// A bit for each bucket says whether it holds any: an empty bucket's head and bound mean nothing,
// and are never read, so that a row need not be cleared. Not thread-safe.
// Who walks a bucket finds each node cold, and learns only from it where the next one is. So each
// also says, in `child`, which one comes a few later, to be fetched meanwhile. That one may have
// been taken out and its memory be gone: it is never read.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "treadle/base/timer_node.hpp"

namespace treadle::queue {

template <std::size_t Buckets>
class timer_buckets {
 public:
  static constexpr std::size_t size = Buckets;
  static constexpr std::size_t none = Buckets;

  std::int64_t bound(std::size_t bucket) const noexcept { return rows_[bucket].bound; }

  void push(base::timer_node* node, std::size_t bucket) noexcept {
    row& into = rows_[bucket];
    std::uint64_t& word = filled_[bucket / 64];
    node->back = nullptr;
    if ((word & bit(bucket)) == 0) {
      word |= bit(bucket);
      into = {node, node->deadline, {}, 0};
      node->next = node->child = nullptr;
    } else {
      node->next = into.first;
      into.first->back = node;
      into.first = node;
      if (node->deadline < into.bound) into.bound = node->deadline;
      node->child = into.last[into.pushed % ahead];
    }
    into.last[into.pushed++ % ahead] = node;
  }

  // Fetches what comes a few after `node` in its bucket.
  static void fetch_ahead(const base::timer_node* node) noexcept {
    __builtin_prefetch(node->child, 1);
  }

  void remove(base::timer_node* node, std::size_t bucket) noexcept {
    if (node->next != nullptr) node->next->back = node->back;
    if (node->back != nullptr) {
      node->back->next = node->next;
    } else if (node->next != nullptr) {
      rows_[bucket].first = node->next;
    } else {
      filled_[bucket / 64] &= ~bit(bucket);
    }
  }

  // All of a bucket, as a list through `next`; its first nodes are fetched.
  base::timer_node* take(std::size_t bucket) noexcept {
    filled_[bucket / 64] &= ~bit(bucket);
    for (const base::timer_node* node : rows_[bucket].last) __builtin_prefetch(node, 1);
    return rows_[bucket].first;
  }

  // The first bucket from `from` on, round the end, that holds any; or `none`.
  std::size_t first_filled(std::size_t from) const noexcept {
    const std::size_t start = from / 64;
    const std::uint64_t later = filled_[start] & (~std::uint64_t{0} << from % 64);
    if (later != 0) return first_bit(start, later);
    // The last one looked at is the word that was looked at, for what lies before `from`.
    for (std::size_t i = 1; i <= words; ++i) {
      const std::size_t at = (start + i) % words;
      if (filled_[at] != 0) return first_bit(at, filled_[at]);
    }
    return none;
  }

 private:
  static_assert(std::has_single_bit(Buckets) && Buckets >= 64);
  static constexpr std::size_t words = Buckets / 64;

  // Measured (bench sleepers): pouring takes 8 % of the CPU instead of 21; 8 gain nothing more.
  static constexpr std::uint32_t ahead = 4;

  struct row {
    base::timer_node* first;
    std::int64_t bound;
    base::timer_node* last[ahead];  // pushed last, in turn; never read
    std::uint32_t pushed;
  };

  static std::uint64_t bit(std::size_t bucket) noexcept { return std::uint64_t{1} << bucket % 64; }
  static std::size_t first_bit(std::size_t word, std::uint64_t bits) noexcept {
    return word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
  }

  std::uint64_t filled_[words] = {};
  row rows_[Buckets];
};

}  // namespace treadle::queue
