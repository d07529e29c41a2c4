// Every interleaving, within a bound on preemptions, of up to four threads on one shared mutex:
// reading through the stripes, a column and beside them, leaving by another stripe or cell than one
// came by, writing, giving up, and destroying it after the last unlock. Parking is the explorer's.
// Each program runs three times: with the short form of a lone kernel thread, with the long form
// only, and with columns, where a restartable sequence is two steps of which the second goes back
// to the first when a fence came between.
//
// Checked: a writer is alone, nobody sleeps for ever, nothing is touched after its end, and nothing
// is left in it.
#include "treadle/sync/raw_shared_mutex.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <vector>

#include "tests/support/explored_ground.hpp"
#include "treadle/sync/raw_shared_mutex_impl.hpp"

namespace treadle::sync {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::require;
using interleave::verdict;

constexpr base::deadline never = base::deadline::never();
constexpr base::deadline soon = base::deadline::at(1);
const std::stop_source asked_never;

// Two columns of two cells, as base/cpu_count.hpp has them.
struct one_column {
  bool lent = false;
  std::int64_t cells[2] = {};
};
struct column_model {
  static inline one_column columns[2];
  static inline explored_atomic<int> step;
  static inline unsigned fences = 0;

  static void reset() {
    for (one_column& each : columns) each = one_column();
    fences = 0;
  }
  // The part of a sequence after the look at the word: false when it must begin again.
  static bool commit(std::uintptr_t column, std::size_t core, bool up, unsigned fences_before) {
    step.store(0);
    if (fences != fences_before) return false;
    require(columns[column - 1].lent, "counts in a column that is not lent");
    columns[column - 1].cells[core] += up ? 1 : -1;
    return true;
  }
  static std::uintptr_t lend() {
    for (std::uintptr_t i = 0; i < 2; ++i) {
      if (!columns[i].lent) return columns[i].lent = true, i + 1;
    }
    return 0;
  }
  static std::int64_t sum(std::uintptr_t column) {
    std::int64_t all = 0;
    for (const std::int64_t each : columns[column - 1].cells) {
      step.store(0);
      all += each;
    }
    return all;
  }
  static std::int64_t drop(std::uintptr_t column) {
    const std::int64_t all = sum(column);
    columns[column - 1] = one_column();
    return all;
  }
  static std::int64_t end(std::uintptr_t column) {
    step.store(0);
    ++fences;
    return drop(column);
  }
};

template <template <class> class Word, bool Columns = false>
struct ground : interleave::explored_ground<Word, interleave::explored_lock_with_end> {
  static constexpr std::size_t stripes = 2;
  static constexpr unsigned reads_before_opening = 2;
  static constexpr bool has_columns = Columns;
  static constexpr unsigned reads_before_column = Columns ? 1 : 1000;
  using column = std::uintptr_t;
  static bool count_here(const Word<column>& word, bool up) {
    if (!Columns) return false;
    for (;;) {
      const unsigned fences = column_model::fences;
      const column now = word.load(base::relaxed);
      if (now == 0) return false;
      if (column_model::commit(now, stripe(), up, fences)) return true;
    }
  }
  static column lend_column() { return Columns ? column_model::lend() : 0; }
  static std::int64_t sum_of(column which) { return column_model::sum(which); }
  static std::int64_t end_count(column which) { return column_model::end(which); }
  static std::int64_t drop_count(column which) { return column_model::drop(which); }
  // How often a thread of this schedule may find itself on the other core.
  static inline int moves_left = 0;

  static std::size_t stripe() {
    std::size_t core = interleave::ground_state::in_schedule() ? interleave::self() % stripes : 0;
    if (moves_left > 0 && interleave::ground_state::in_schedule() && interleave::choose(2) == 1) {
      --moves_left;
      core = 1 - core;
    }
    return core;
  }
};

template <class Ground>
struct state {
  using mutex = basic_shared_mutex<Ground>;

  state() {
    Ground::reset();
    column_model::reset();
    Ground::moves_left = moves;
    ::new (memory) mutex;
  }
  // Not destroyed with the state: a schedule that is given up may leave it locked.
  mutex& it() { return *std::launder(reinterpret_cast<mutex*>(memory)); }

  void inside_alone() {
    Ground::end_wait();
    require(++writers == 1 && readers == 0, "a writer is not alone");
    static_cast<void>(probe.load());
    require(writers == 1 && readers == 0, "a writer does not stay alone");
    ++rounds;
    --writers;
  }
  void inside_shared() {
    Ground::end_wait();
    ++readers;
    require(writers == 0, "a reader beside a writer");
    static_cast<void>(probe.load());
    require(writers == 0, "a writer came in beside a reader");
    ++rounds;
    --readers;
  }
  void wrote() {
    inside_alone();
    it().unlock();
  }
  void has_read() {
    inside_shared();
    it().unlock_shared();
  }
  bool left() {
    Ground::end_wait();
    return false;
  }
  void write() {
    static_cast<void>(it().lock_until(never));
    wrote();
  }
  void read() {
    it().lock_shared();
    has_read();
  }
  bool write_in_time() { return it().lock_until(soon) ? (wrote(), true) : left(); }
  bool read_in_time() { return it().lock_shared_until(soon) ? (has_read(), true) : left(); }
  bool write_unless_stopped() {
    return it().lock_within(base::wait_limit(asked_never.get_token())) ? (wrote(), true) : left();
  }
  bool read_unless_stopped() {
    return it().lock_shared_within(base::wait_limit(asked_never.get_token())) ? (has_read(), true)
                                                                              : left();
  }
  void destroy() {
    it().~mutex();
    Ground::gone = true;
  }
  void check(int rounds_min) {
    require(rounds >= rounds_min, "a round is missing");
    if (Ground::gone) return;
    require(it().try_lock(), "not free in the end");
    it().unlock();
    require(it().try_lock_shared(), "not free for readers in the end");
    it().unlock_shared();
    it().~mutex();  // ends the program when anything is left in it
  }

  static inline int moves = 0;
  alignas(mutex) std::byte memory[sizeof(mutex)];
  explored_atomic<int> probe;
  explored_atomic<int> references{0};
  int writers = 0;
  int readers = 0;
  int rounds = 0;
};

template <class Ground>
class RawSharedMutex : public ::testing::Test {
 protected:
  using at = state<Ground>;

  void expect_good(std::vector<std::function<void(at&)>> threads, int rounds_min,
                   unsigned preemptions, int moves = 0) {
    interleave::options bounds;
    bounds.preemptions_max = preemptions;
    bounds.sleep_sets = false;  // the books of a state are not the explorer's words
    at::moves = moves;
    const verdict v = explore<at>(bounds, threads, [rounds_min](at& s) { s.check(rounds_min); });
    EXPECT_TRUE(v.good()) << v.report();
    schedules_ += v.schedules;
    testing::Test::RecordProperty("schedules", std::to_string(schedules_));
  }

 private:
  std::uint64_t schedules_ = 0;
};

using grounds =
    ::testing::Types<ground<interleave::watched_atomic>, ground<interleave::watched_biased>,
                     ground<interleave::watched_atomic, true>>;
TYPED_TEST_SUITE(RawSharedMutex, grounds, );

constexpr auto write = [](auto& s) { s.write(); };
constexpr auto read = [](auto& s) { s.read(); };
constexpr auto read_twice = [](auto& s) {
  s.read();
  s.read();
};
constexpr auto read_thrice = [](auto& s) {
  s.read();
  s.read();
  s.read();
};
constexpr auto write_then_read = [](auto& s) {
  s.write();
  s.read();
};
constexpr auto try_write = [](auto& s) {
  if (s.it().try_lock()) s.wrote();
};
constexpr auto try_read = [](auto& s) {
  if (s.it().try_lock_shared()) s.has_read();
};
constexpr auto write_in_time = [](auto& s) { s.write_in_time(); };
constexpr auto read_in_time = [](auto& s) { s.read_in_time(); };
constexpr auto write_unless_stopped = [](auto& s) { s.write_unless_stopped(); };
constexpr auto read_unless_stopped = [](auto& s) { s.read_unless_stopped(); };

TYPED_TEST(RawSharedMutex, OneWritesAndOneReads) {
  this->expect_good({write, read}, 2, 6);
  this->expect_good({write_then_read, read_twice}, 4, 3);
  this->expect_good({write, write}, 2, 6);
}

TYPED_TEST(RawSharedMutex, TwoReadersAndAWriter) {
  this->expect_good({write, read, read}, 3, 3);
  this->expect_good({write, read_twice, read}, 4, 2);
}

TYPED_TEST(RawSharedMutex, WritersTakeTurnsWithReaders) {
  this->expect_good({write, write, read}, 3, 3);
  this->expect_good({write, write, read, read}, 4, 2);
  this->expect_good({write, write, write, read}, 4, 2);
}

TYPED_TEST(RawSharedMutex, TheStripesOpenAgain) {
  this->expect_good({write_then_read, read_thrice}, 5, 3);
  this->expect_good({write_then_read, read_twice, write}, 5, 2);
}

// A reader leaves on another core than it came in on.
TYPED_TEST(RawSharedMutex, ReadersMove) {
  this->expect_good({read_twice, read_twice}, 4, 3, 2);
  this->expect_good({read, read, write}, 3, 2, 2);
  this->expect_good({read, read, read}, 3, 2, 2);
  this->expect_good({write_then_read, read_twice}, 4, 2, 2);
}

TYPED_TEST(RawSharedMutex, WhoOnlyTriesDisturbsNobody) {
  this->expect_good({try_write, read, write}, 2, 3);
  this->expect_good({try_read, read, write}, 2, 3);
  this->expect_good({try_write, read_twice}, 2, 3, 1);
}

TYPED_TEST(RawSharedMutex, WaitersGiveUp) {
  this->expect_good({write_in_time, read, read}, 2, 3);
  this->expect_good({write, read_in_time, write}, 2, 3);
  this->expect_good({write_in_time, write_unless_stopped, read}, 1, 3);
  this->expect_good({write_unless_stopped, read_unless_stopped, write}, 1, 3);
  this->expect_good({write_in_time, read, read, write}, 3, 2);
  this->expect_good({write_in_time, write_in_time, read_in_time, read}, 1, 2);
}

// The third read by a stripe brings a column, where there are any.
TYPED_TEST(RawSharedMutex, ReadersComeByAColumn) {
  if (!TypeParam::has_columns) GTEST_SKIP() << "without columns it is the same as above";
  this->expect_good({read_thrice, read_twice}, 5, 3, 1);
  this->expect_good({read_thrice, write}, 4, 4, 1);
  this->expect_good({read_thrice, write_then_read}, 5, 3, 1);
  this->expect_good({read_thrice, read_twice, write}, 6, 2, 1);
  this->expect_good({read_thrice, write, write}, 5, 2, 1);
  this->expect_good({read_thrice, read, try_write}, 4, 2, 1);
  this->expect_good({read_thrice, write_in_time, read_in_time}, 3, 2, 1);
}

// Whoever finds itself the last user destroys it, right after its own unlock.
TYPED_TEST(RawSharedMutex, TheLastToUnlockMayDestroyIt) {
  const auto read_as_one_of_two = [](auto& s) {
    s.it().lock_shared();
    s.inside_shared();
    const bool last = s.references.fetch_add(1) == 1;
    s.it().unlock_shared();
    if (last) s.destroy();
  };
  const auto write_as_one_of_two = [](auto& s) {
    static_cast<void>(s.it().lock_until(never));
    s.inside_alone();
    const bool last = s.references.fetch_add(1) == 1;
    s.it().unlock();
    if (last) s.destroy();
  };
  this->expect_good({write_as_one_of_two, write_as_one_of_two}, 2, 4);
  this->expect_good({write_as_one_of_two, read_as_one_of_two}, 2, 4);
  // With two readers only a writer can tell that both have begun to unlock.
  const auto write_then_destroy_after_readers = [](auto& s) {
    static_cast<void>(s.it().lock_until(never));
    const bool all = s.references.load() == 2;
    s.it().unlock();
    if (all) s.destroy();
  };
  const auto read_and_count = [](auto& s) {
    s.it().lock_shared();
    s.references.fetch_add(1);
    s.it().unlock_shared();
  };
  this->expect_good({write_then_destroy_after_readers, read_and_count, read_and_count}, 0, 2, 1);
  // By a column: the stripes have seen enough before.
  const auto read_more_and_count = [](auto& s) {
    s.read();
    s.it().lock_shared();
    s.references.fetch_add(1);
    s.it().unlock_shared();
  };
  this->expect_good({write_then_destroy_after_readers, read_more_and_count, read_more_and_count}, 0,
                    2, 1);
}

}  // namespace
}  // namespace treadle::sync
