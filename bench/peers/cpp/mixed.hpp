// What a request of `mixed` consists of, the same for every peer: 32 children, each of which looks
// at and changes a small table under a lock that all share, waits for a timer of its own, and reads
// a block of a file that is in the page cache. What it is to return is known beforehand, so that
// the parent's sum proves that all was done.
//
// As in a closed loop of clients, 128 requests are in flight at any time: with fewer, two workers
// would wait for the timers more than they work.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "../../measure.hpp"
#include "scratch_file.hpp"

namespace treadle::bench::mixed {

inline constexpr long fan_out = 32;
inline constexpr long in_flight_most = 128;
inline constexpr std::size_t block_bytes = 4096;
inline constexpr std::uint32_t blocks = 64;
inline constexpr std::uint32_t entries = 256;
// Each waits for the one before, some five cycles: with the lock a few hundred nanoseconds.
inline constexpr int steps = 128;

/// Of one child: where it looks, how long it waits, what it reads.
struct key {
  std::uint32_t bits;

  key(long request, long child)
      : bits(static_cast<std::uint32_t>(request * fan_out + child) * 2654435761U) {
    bits ^= bits >> 16;  // sourced: Knuth's multiplicative hash, its upper half mixed in
  }
  std::uint32_t entry() const { return bits % entries; }
  std::uint32_t block_number() const { return (bits >> 8) % blocks; }
  /// 0.1 to 2 ms.
  std::chrono::microseconds timer() const {
    return std::chrono::microseconds(100 + (bits >> 8) % 1901);
  }
};

/// Guarded by the lock that the children share.
class table {
 public:
  table() {
    for (std::uint32_t i = 0; i < entries; ++i) next_[i] = (5 * i + 1) % entries;  // one cycle
  }
  std::uint32_t look(key from) {
    const std::uint32_t at = end_of(from);
    ++seen_[at];
    return at;
  }
  /// Where a look ends, without leaving a trace.
  std::uint32_t end_of(key from) const {
    std::uint32_t at = from.entry();
    for (int step = 0; step < steps; ++step) at = next_[at];
    return at;
  }
  void check(long children) const {
    std::uint64_t sum = 0;
    for (const std::uint64_t each : seen_) sum += each;
    if (sum != static_cast<std::uint64_t>(children)) {
      throw std::runtime_error("the lock did not exclude: the table is wrong");
    }
  }

 private:
  std::array<std::uint32_t, entries> next_{};
  std::array<std::uint64_t, entries> seen_{};
};

using block = std::array<std::uint64_t, block_bytes / sizeof(std::uint64_t)>;

/// A block is its number, again and again.
class block_file {
 public:
  block_file() {
    for (std::uint32_t number = 0; number < blocks; ++number) {
      block words;
      words.fill(number);
      file_.write_at(static_cast<long>(number * block_bytes), std::as_bytes(std::span(words)));
    }
  }
  /// By `read_at`, which is pread() or the peer's own.
  template <class ReadAt>
  long read(key which, block& into, ReadAt read_at) const {
    const auto offset = static_cast<off_t>(which.block_number() * block_bytes);
    if (read_at(file_.descriptor(), into.data(), block_bytes, offset) != ssize_t{block_bytes}) {
      throw std::runtime_error("a block was not read");
    }
    return static_cast<long>(into.front() + into.back());
  }

 private:
  scratch_file file_;
};

/// What is known of requests beforehand, and how long they took beyond their longest timer.
class ledger {
 public:
  explicit ledger(long requests)
      : in_flight(std::min(requests, in_flight_most)), each(requests / in_flight) {
    for (std::uint32_t entry = 0; entry < entries; ++entry) {
      key from(0, 0);
      from.bits = entry;
      ends_[entry] = table_.end_of(from);
    }
    beyond_.resize(static_cast<std::size_t>(in_flight * each));
  }

  /// Of the request that began at `begin`: its sum is checked.
  void close(long request, double begin, long sum) {
    const double took = read_clock(CLOCK_MONOTONIC) - begin;
    std::chrono::microseconds longest(0);
    for (long child = 0; child < fan_out; ++child) {
      const key of(request, child);
      longest = std::max(longest, of.timer());
      sum -= ends_[of.entry()] + 2 * of.block_number();
    }
    if (sum != 0) throw std::runtime_error("a request has a wrong sum");
    beyond_[static_cast<std::size_t>(request)] =
        took - std::chrono::duration<double>(longest).count();
  }

  repetition finish(const stopwatch& watch, const table& used) {
    repetition result = watch.stop(static_cast<double>(beyond_.size()));
    used.check(static_cast<long>(beyond_.size()) * fan_out);
    std::sort(beyond_.begin(), beyond_.end());
    // The clocks' readings are exact to a nanosecond, as double to less.
    if (beyond_.front() < -1e-8) throw std::runtime_error("a timer ended early");
    result.beyond_median = beyond_[beyond_.size() / 2];
    result.beyond_p99 = beyond_[beyond_.size() * 99 / 100];
    return result;
  }

  const long in_flight;
  const long each;  // how many requests a client makes, one after another

 private:
  table table_;
  std::array<std::uint32_t, entries> ends_{};
  std::vector<double> beyond_;
};

}  // namespace treadle::bench::mixed
