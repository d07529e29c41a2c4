// One writer or many readers: the state machine behind shared_mutex and shared_timed_mutex.
//
// Readers count themselves in one of two ways that differ in what they cost:
//   stripes - a few words, a cache line each, so that readers on two cores do not fight for one
//   line: one compare-and-swap to enter and one to leave. Each also counts who came, and when a
//   stripe has seen some, the mutex changes to
//   a column - a cell for each CPU (base/cpu_count.hpp), one plain addition to enter and one to
//   leave, if there is a column to be had. A writer pays for that: a fence on all CPUs.
// The rest is guarded by list_lock_. Invariants:
//   the readers are readers_, plus those in the stripes, plus those in the column;
//   while somebody writes or waits to, the stripes are shut, there is no column, and so readers_ is
//   the count; readers_ is below 0 only while there is a column, and a stripe never is: a reader
//   that finds nothing to take back in its stripe (it has changed the core meanwhile) takes the
//   long way. Stripes are open only while there is no column.
// A writer closes both ways, and adds up what was in them. A reader may come in by one cell or
// stripe and leave by another meanwhile: each step is either counted there before it closes, or in
// readers_ after that, so the sum is right once all are closed. The stripes are opened again when
// some readers in a row have come without a writer between them.
// Fairness, by phases: while somebody waits to write, arriving readers queue; a writer's unlock()
// lets in all readers that wait, the last one of them hands over to the next writer. So a reader
// waits for one writer at most, and a writer for those before it and a batch of readers each.
// Whoever unlocks does not touch the mutex after list_lock_, or after its one compare-and-swap: the
// next owner may destroy it.
// Rejected: one word for all (two cores that read cost five times one); a table of readers beside
// the mutex (Dice and Kogan, "BRAVO", ATC'19: a locked instruction for each side, and a reader must
// remember its slot). Decision 0030.
// Source of the phases: Brandenburg and Anderson, "Reader-writer synchronization for shared-memory
// multiprocessor real-time systems", ECRTS'09.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "treadle/base/cache_line.hpp"
#include "treadle/base/cpu_count.hpp"
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
  // Readers of a stripe that pay for a column. Measured (2 CPUs, Sapphire Rapids): it saves a
  // reader 14 ns, and to give it up costs a writer 4.4 us: 300 readers. So a writer after each
  // 1000 still takes less than they have saved.
  static constexpr unsigned reads_before_column = 1000;

  using column = base::cpu_column;
  static bool count_here(const base::atomic<column>& word, bool up) noexcept {
    return base::count_here(word, up);
  }
  static column lend_column() noexcept { return base::lend_cpu_column(); }
  static std::int64_t sum_of(column which) noexcept { return base::sum_of(which); }
  static std::int64_t end_count(column which) noexcept { return base::end_count(which); }
  static std::int64_t drop_count(column which) noexcept { return base::drop_count(which); }

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
    if (way_ == way::column) [[unlikely]]
      drop_column();
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
    if (!come_in()) [[unlikely]]
      share_slowly(base::deadline::never(), nullptr);
  }
  bool lock_shared_until(base::deadline until) noexcept {
    return come_in() || share_slowly(until, nullptr);
  }
  bool lock_shared_within(const base::wait_limit& limit) noexcept;
  // False also when it is free for readers, but a writer waits.
  bool try_lock_shared() noexcept { return come_in() || try_share_slowly(); }
  void unlock_shared() noexcept {
    if (!count_here(false) && !leave(mine())) [[unlikely]]
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
  using word = typename Ground::template atomic<std::uint64_t>;

  struct alignas(base::cache_line_bytes) stripe {
    word readers{0};  // readers, and times `entry` who came, or `shut`
  };

  static constexpr std::uint64_t one = 1;
  static constexpr std::uint64_t entry = std::uint64_t{1} << 32;
  static constexpr std::uint64_t full = Ground::reads_before_column * entry;
  static constexpr std::uint64_t shut = std::uint64_t{1} << 63;

  static std::uint64_t readers_in(std::uint64_t stripe) noexcept { return stripe & (entry - 1); }

  word& mine() noexcept { return stripes_[Ground::stripe()].readers; }

  [[gnu::always_inline]] bool count_here(bool up) noexcept {
    return Ground::count_here(column_, up);
  }
  [[gnu::always_inline]] bool come_in() noexcept { return count_here(true) || enter(mine()); }
  [[gnu::always_inline]] static bool enter(word& readers) noexcept {
    std::uint64_t seen = readers.load(base::relaxed);  // relaxed: validated by the CAS
    while (seen < full) {
      // acquire: pairs with open(), publishes what the last writer did
      if (readers.compare_exchange_weak(seen, seen + one + entry, base::acquire, base::relaxed)) {
        return true;
      }
    }
    return false;
  }
  [[gnu::always_inline]] static bool leave(word& readers) noexcept {
    std::uint64_t seen = readers.load(base::relaxed);  // relaxed: validated by the CAS
    while (readers_in(seen) != 0) {
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
  void share_full(word& own) noexcept;
  bool is_free() const noexcept { return readers_ == 0 && writer_ == nullptr; }
  waiter* admit_readers() noexcept;
  waiter* admit_writer() noexcept;

  void drop_column() noexcept;
  bool is_in_use() const noexcept;
  void destroyed_in_use() const noexcept;
  [[noreturn]] void fail_misuse(std::string_view call, std::string_view text) const noexcept;

  enum class way : std::uint8_t { none, stripes, column };

  stripe stripes_[Ground::stripes];
  // Atomic, written under list_lock_: read by every reader, so apart from what readers write.
  typename Ground::template flag<typename Ground::column> column_{0};
  const shared_mutex_kind kind_ = shared_mutex_kind::plain;  // fixed after start
  typename Ground::list_lock list_lock_;
  // Guarded by list_lock_.
  way way_ = way::stripes;
  unsigned reads_ = 0;        // since the ways were closed, or the last writer
  std::int64_t readers_ = 0;  // beside those that are counted elsewhere
  core::thread* writer_ = nullptr;
  wait_list waiting_readers_;
  wait_list waiting_writers_;
};

extern template class basic_shared_mutex<shared_mutex_ground>;
using raw_shared_mutex = basic_shared_mutex<shared_mutex_ground>;

}  // namespace treadle::sync
