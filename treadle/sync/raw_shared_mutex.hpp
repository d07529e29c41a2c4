// One writer or many readers: the state machine behind shared_mutex and shared_timed_mutex.
//
// Readers count themselves in stripes, a cache line each, so that readers on two cores do not fight
// for one line: one compare-and-swap to enter and one to leave. The rest is guarded by list_lock_.
// Invariants:
//   open - the stripes count every reader, nobody writes, and nobody waits to; the sum of the
//   stripes is never less than 0 each, for a reader that finds nothing to take back in its stripe
//   (it has changed the core meanwhile) takes the long way;
//   closed - the stripes are shut and readers_ counts every reader.
// A writer closes all stripes, one after the other, and adds up what was in them. A reader may come
// into one stripe and leave by another meanwhile: each step is either counted in a stripe before it
// shuts, or in readers_ after that, so the sum is right once all are shut. They are opened again
// when some readers in a row have come without a writer between them.
// Fairness, by phases: while somebody waits to write, arriving readers queue; a writer's unlock()
// lets in all readers that wait, the last one of them hands over to the next writer. So a reader
// waits for one writer at most, and a writer for those before it and a batch of readers each.
// Whoever unlocks does not touch the mutex after list_lock_, or after its one compare-and-swap: the
// next owner may destroy it.
// Rejected: one word for all (two cores that read cost five times one); a table of readers beside
// the mutex (Dice and Kogan, "BRAVO", ATC'19: smaller, but a writer must look through all of it).
// Source of the phases: Brandenburg and Anderson, "Reader-writer synchronization for shared-memory
// multiprocessor real-time systems", ECRTS'09.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "treadle/base/cache_line.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

// Which class of the API it is part of: reports of misuse name that one.
enum class shared_mutex_kind : std::uint8_t { plain, timed };

struct shared_mutex_ground : ground<core::wait_reason::shared_mutex> {
  // Guess: a line each; more would make the mutex larger and writers slower.
  static constexpr std::size_t stripes = 4;
  // Guess: readers in a row that pay for opening the stripes and shutting them again.
  static constexpr unsigned reads_before_opening = 8;

  static std::size_t stripe() noexcept {
    const core::worker& on = core::current_worker();
    // Workers of fibers are numbered; the others lie in pages of their own.
    const std::uintptr_t number =
        on.number != 0 ? on.number : reinterpret_cast<std::uintptr_t>(&on) >> 12;
    return number % stripes;
  }
};

template <class Ground>
class basic_shared_mutex {
 public:
  constexpr basic_shared_mutex() noexcept = default;
  constexpr explicit basic_shared_mutex(shared_mutex_kind kind) noexcept : kind_(kind) {}
  ~basic_shared_mutex() {
    if (is_in_use()) [[unlikely]]
      destroyed_in_use();
  }
  basic_shared_mutex(const basic_shared_mutex&) = delete;
  basic_shared_mutex& operator=(const basic_shared_mutex&) = delete;

  // False on time-out only, here and below.
  bool lock_until(base::deadline until) noexcept;
  bool lock_within(const base::wait_limit& limit) noexcept;
  // Never for no reason.
  bool try_lock() noexcept;
  void unlock() noexcept;

  void lock_shared() noexcept {
    if (!enter(mine())) [[unlikely]]
      share_slowly(base::deadline::never(), nullptr);
  }
  bool lock_shared_until(base::deadline until) noexcept {
    return enter(mine()) || share_slowly(until, nullptr);
  }
  bool lock_shared_within(const base::wait_limit& limit) noexcept;
  // False also when it is free for readers, but a writer waits.
  bool try_lock_shared() noexcept { return enter(mine()) || try_share_slowly(); }
  void unlock_shared() noexcept {
    if (!leave(mine())) [[unlikely]]
      unlock_shared_slowly();
  }

  // The parts of both, for tasks, whose names are the records that they wait with. True when it is
  // ours, false with the node in a list.
  bool lock_or_enlist(waiter& node, bool limited) noexcept;
  bool share_or_enlist(waiter& node) noexcept;
  bool try_lock_as(core::thread& self) noexcept;
  void unlock_as(core::thread& self) noexcept;
  // After a time-out or a stop: false for a node that a granter has taken and will still touch.
  bool take_out(waiter& node, bool writes) noexcept;

 private:
  using alarm = typename Ground::alarm;
  using word = typename Ground::template atomic<std::uint32_t>;

  struct alignas(base::cache_line_bytes) stripe {
    word readers{0};  // times `one`, or `shut`
  };

  static constexpr std::uint32_t shut = 1;
  static constexpr std::uint32_t one = 2;

  word& mine() noexcept { return stripes_[Ground::stripe()].readers; }

  [[gnu::always_inline]] static bool enter(word& readers) noexcept {
    std::uint32_t seen = readers.load(base::relaxed);  // relaxed: validated by the CAS
    while (seen != shut) {
      // acquire: pairs with open(), publishes what the last writer did
      if (readers.compare_exchange_weak(seen, seen + one, base::acquire, base::relaxed)) {
        return true;
      }
    }
    return false;
  }
  [[gnu::always_inline]] static bool leave(word& readers) noexcept {
    std::uint32_t seen = readers.load(base::relaxed);  // relaxed: validated by the CAS
    while (seen > shut) {
      // release: pairs with close(), orders our reads before the next writer
      if (readers.compare_exchange_weak(seen, seen - one, base::release, base::relaxed)) {
        return true;
      }
    }
    return false;
  }

  bool lock_slowly(base::deadline until, const alarm* stop) noexcept;
  bool share_slowly(base::deadline until, const alarm* stop) noexcept;
  bool try_share_slowly() noexcept;
  void unlock_shared_slowly() noexcept;
  bool take_back(waiter& node, bool writes) noexcept;
  // With list_lock_ held.
  bool share() noexcept;
  void open() noexcept;
  void close() noexcept;
  bool is_free() const noexcept { return readers_ == 0 && writer_ == nullptr; }
  waiter* admit_readers() noexcept;
  waiter* admit_writer() noexcept;

  bool is_in_use() const noexcept;
  void destroyed_in_use() const noexcept;
  [[noreturn]] void fail_misuse(std::string_view call, std::string_view text) const noexcept;

  stripe stripes_[Ground::stripes];
  const shared_mutex_kind kind_ = shared_mutex_kind::plain;  // fixed after start
  typename Ground::list_lock list_lock_;
  // Guarded by list_lock_.
  bool open_ = true;
  unsigned reads_ = 0;         // since the stripes were shut, or the last writer
  std::uint32_t readers_ = 0;  // while closed
  core::thread* writer_ = nullptr;
  wait_list waiting_readers_;
  wait_list waiting_writers_;
};

extern template class basic_shared_mutex<shared_mutex_ground>;
using raw_shared_mutex = basic_shared_mutex<shared_mutex_ground>;

}  // namespace treadle::sync
