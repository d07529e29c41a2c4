// How many stacks of an arena are promised, and how many may be: in one word, so that a promise is
// exact and takes no lock.
//
// Invariant: while anything is promised, promised <= room, where room is what is guarded, less the
// slack, less what is in the trimmer's hands. Room alone may be negative: slack may be asked for
// before there are any slots, and whoever promises next finds that they are missing.
// Rejected: two words (of a promise and a trim that look at each other's both could succeed).
#pragma once

#include <cstddef>
#include <cstdint>

#include "treadle/base/atomic.hpp"

namespace treadle::context {

template <template <class> class Atomic = base::atomic>
class basic_stack_ledger {
 public:
  // False, and nothing changes, where room is missing.
  [[nodiscard]] bool try_promise(std::size_t count) noexcept {
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: the exchange below decides
    do {
      if (promised_in(seen) + static_cast<std::int64_t>(count) > room_in(seen)) return false;
      // acquire: pairs with add_room(), which published the slots that are promised here
    } while (!word_.compare_exchange_weak(seen, seen + count, base::acquire, base::relaxed));
    return true;
  }
  // How many slots are missing for `count` more promises; a guess, try_promise() decides.
  [[nodiscard]] std::int64_t missing(std::size_t count) const noexcept {
    const std::uint64_t seen = word_.load(base::relaxed);  // relaxed: as said
    return promised_in(seen) + static_cast<std::int64_t>(count) - room_in(seen);
  }
  // How many were promised before.
  std::int64_t give_up(std::size_t count) noexcept {
    // relaxed: the slots themselves are handed over under the list's lock
    return promised_in(word_.fetch_sub(count, base::relaxed));
  }

  // Of slots that are guarded, or no longer slack, or back from the trimmer.
  void add_room(std::size_t count) noexcept {
    // release: whoever promises it sees what was done for the slots
    word_.fetch_add(count * one_of_room, base::release);
  }
  // For slack, also where there is none; the caller makes up for it if anything was promised. How
  // many were.
  std::int64_t take_room(std::size_t count) noexcept {
    // relaxed: taking room away publishes nothing
    return promised_in(word_.fetch_sub(count * one_of_room, base::relaxed));
  }
  // For the trimmer: only room that nobody was promised.
  [[nodiscard]] bool take_spare_room(std::size_t count) noexcept {
    std::uint64_t seen = word_.load(base::relaxed);  // relaxed: the exchange decides
    do {
      if (room_in(seen) - static_cast<std::int64_t>(count) < promised_in(seen)) return false;
      // relaxed, both: as in take_room()
    } while (!word_.compare_exchange_weak(seen, seen - count * one_of_room, base::relaxed,
                                          base::relaxed));
    return true;
  }

  // Snapshots, for reports.
  [[nodiscard]] std::int64_t promised() const noexcept {
    return promised_in(word_.load(base::relaxed));
  }
  [[nodiscard]] std::int64_t room() const noexcept { return room_in(word_.load(base::relaxed)); }

 private:
  static constexpr std::uint64_t one_of_room = std::uint64_t{1} << 32;
  static std::int64_t promised_in(std::uint64_t word) noexcept {
    return static_cast<std::int64_t>(word & 0xffff'ffffU);
  }
  static std::int64_t room_in(std::uint64_t word) noexcept {
    return static_cast<std::int32_t>(word >> 32);
  }

  // Low half: promised. High half, signed: room.
  Atomic<std::uint64_t> word_{0};
};

using stack_ledger = basic_stack_ledger<>;

}  // namespace treadle::context
