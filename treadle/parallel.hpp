// Loops over all processors: parallel_for, parallel_reduce, parallel_invoke.
//
// A loop is one piece at first. Whoever works at a piece looks up now and then, and when fewer
// pieces are at work than there are processors, leaves half of what is left to a child of a scope.
// So a loop is split only as long as somebody may be idle: some dozens of times, whatever its
// length, and in a runtime of one processor never. In every model at most width() pieces are at
// work at a time, and with kernel threads there are never more of those than that times the depth
// of the halving.
// Without a grain the time says when to look: a run of elements becomes longer until it takes about
// run_nanoseconds, so that neither tiny nor huge bodies need be told apart by the caller.
// Source: Tzannes et al., "Lazy binary-splitting", PPoPP'10; the width as the measure of idleness
// instead of the own deque, because here the parent waits there, and not the child.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

#include "treadle/base/atomic.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/scope.hpp"

namespace treadle {
namespace detail {

// Guess: a clock and a split cost some 100 ns, 1 % of this; idle processors wait so long for work.
inline constexpr std::int64_t run_nanoseconds = 10'000;

// What the pieces of one loop share.
class loop_crew {
 public:
  // `grain` 0: by time.
  explicit loop_crew(std::ptrdiff_t grain) noexcept;

  // True when a piece may be split: then one more is at work.
  bool join() noexcept {
    unsigned seen = at_work_.load(base::relaxed);  // relaxed, here and below: counts only
    while (seen < width_) {
      if (at_work_.compare_exchange_weak(seen, seen + 1, base::relaxed, base::relaxed)) return true;
    }
    return false;
  }
  void leave() noexcept { at_work_.fetch_sub(1, base::relaxed); }
  bool is_alone() const noexcept { return width_ == 1; }
  // After an exception: what has not begun is left out.
  void fail() noexcept { failed_.store(true, base::relaxed); }  // relaxed: the scope orders it
  bool has_failed() const noexcept { return failed_.load(base::relaxed); }
  std::ptrdiff_t grain() const noexcept { return grain_; }

 private:
  // Fixed after start.
  const unsigned width_;
  const std::ptrdiff_t grain_;
  // Atomic.
  base::atomic<unsigned> at_work_{1};
  base::atomic<bool> failed_{false};
};

// How many elements one piece does before it looks up.
class run_length {
 public:
  explicit run_length(const loop_crew& crew) noexcept
      : length_(crew.is_alone()     ? PTRDIFF_MAX
                : crew.grain() != 0 ? crew.grain()
                                    : 1),
        timed_(!crew.is_alone() && crew.grain() == 0) {}

  void begin() noexcept {
    if (timed_) since_ = base::monotonic_now();
  }
  std::ptrdiff_t next(std::ptrdiff_t left) const noexcept {
    return length_ < left ? length_ : left;
  }
  // After a run of next() elements. False when it was too short to be worth a split.
  bool note_end() noexcept {
    if (!timed_) return true;
    const std::int64_t now = base::monotonic_now();
    const std::int64_t took = now - std::exchange(since_, now);
    if (took < run_nanoseconds / 2) {
      if (length_ <= length_max) length_ *= 2;
      return false;
    }
    if (took > run_nanoseconds * 2 && length_ > 1) length_ /= 2;
    return true;
  }

 private:
  static constexpr std::ptrdiff_t length_max = PTRDIFF_MAX / 2;

  std::ptrdiff_t length_;
  bool timed_;
  std::int64_t since_ = 0;
};

// Runs body(value, first, last), which adds those elements to the value, over [first, last), and
// gives back what combine() makes of the values of the pieces from left to right. A piece has
// joined the crew before run() is called and has left when it returns.
template <class Value, class Begin, class Body, class Combine>
class loop {
 public:
  loop(loop_crew& crew, Begin& begin, Body& body, Combine& combine) noexcept
      : crew_(crew), begin_(begin), body_(body), combine_(combine) {}

  Value run(std::ptrdiff_t first, std::ptrdiff_t last, run_length length) {
    at_work here{crew_};
    Value mine = begin_();
    length.begin();
    while (first != last && !crew_.has_failed()) {
      const std::ptrdiff_t middle = first + length.next(last - first);
      body_(mine, first, middle);
      first = middle;
      if (length.note_end() && last - first > 1 && crew_.join()) {
        return combine_(std::move(mine), split(first, last, length, here));
      }
    }
    here.ends_well = true;
    return mine;
  }

 private:
  struct at_work {
    loop_crew& crew;
    bool ends_well = false;
    bool has_left = false;
    ~at_work() {
      if (!ends_well) crew.fail();
      if (!has_left) crew.leave();
    }
  };

  // Two pieces are at work now: the left half becomes a child, the right one stays with us.
  Value split(std::ptrdiff_t first, std::ptrdiff_t last, run_length length, at_work& here) {
    const std::ptrdiff_t middle = first + (last - first) / 2;
    std::optional<Value> left;
    std::optional<Value> right;
    {
      scope halves;
      try {
        halves.spawn(
            [this, &left, first, middle, length] { left.emplace(run(first, middle, length)); });
      } catch (...) {
        crew_.leave();
        throw;
      }
      here.has_left = true;  // run() leaves in our place
      right.emplace(run(middle, last, length));
      halves.join();
    }
    here.ends_well = true;
    return combine_(std::move(*left), std::move(*right));
  }

  loop_crew& crew_;
  Begin& begin_;
  Body& body_;
  Combine& combine_;
};

[[noreturn]] void fail_loop(const char* call, const char* text);

template <class Index>
concept loop_index = std::integral<Index> || std::random_access_iterator<Index>;

// What the body gets for the element that is `offset` behind `first`.
template <std::integral Index>
Index element_at(Index first, std::ptrdiff_t offset) {
  // Unsigned: the offset may be more than an Index counts.
  using unsigned_index = std::make_unsigned_t<Index>;
  return static_cast<Index>(static_cast<unsigned_index>(first) +
                            static_cast<unsigned_index>(offset));
}
template <std::random_access_iterator Iterator>
decltype(auto) element_at(Iterator first, std::ptrdiff_t offset) {
  return first[static_cast<typename std::iterator_traits<Iterator>::difference_type>(offset)];
}

template <loop_index Index>
std::ptrdiff_t loop_size(const char* call, const Index& first, const Index& last,
                         std::ptrdiff_t grain) {
  if (last < first) fail_loop(call, "the range ends before it begins");
  if (grain < 0) fail_loop(call, "the grain is negative");
  if constexpr (std::integral<Index>) {
    using unsigned_index = std::make_unsigned_t<Index>;
    const auto size = static_cast<std::uint64_t>(static_cast<unsigned_index>(
        static_cast<unsigned_index>(last) - static_cast<unsigned_index>(first)));
    if (size > static_cast<std::uint64_t>(PTRDIFF_MAX)) fail_loop(call, "the range is too long");
    return static_cast<std::ptrdiff_t>(size);
  } else {
    return static_cast<std::ptrdiff_t>(last - first);
  }
}

// For loops without a value.
struct nothing_to_combine {};

}  // namespace detail

// Calls body(i) for each i of [first, last): the numbers, or the elements that the iterators point
// at. In any order, on all processors of the runtime; for a foreign kernel thread of the default
// one. With a grain, at least 1, so many elements are always done in a row: for bodies that are
// cheap only in a row. 0 leaves that to the time they take.
// Blocks: until all has ended. A body may block; its place at work stays taken meanwhile.
// Happens-before: the call before every body, every body before the return.
// Cancellation: none of its own; in the body, this_thread::stop_token() is the caller's.
// Errors: the first exception of a body is thrown after all pieces have ended, and elements that
// had not begun are left out; std::system_error as thread's constructor; std::invalid_argument for
// a range that ends before it begins, and for a negative grain.
template <detail::loop_index Index, class Body>
void parallel_for(Index first, std::type_identity_t<Index> last, Body&& body,
                  std::ptrdiff_t grain = 0) {
  using nothing = detail::nothing_to_combine;
  const std::ptrdiff_t size = detail::loop_size("parallel_for", first, last, grain);
  detail::loop_crew crew(grain);
  auto begin = []() noexcept { return nothing(); };
  auto run = [&body, first](nothing, std::ptrdiff_t from, std::ptrdiff_t to) {
    for (; from != to; ++from) body(detail::element_at(first, from));
  };
  auto join = [](nothing, nothing) noexcept { return nothing(); };
  detail::loop<nothing, decltype(begin), decltype(run), decltype(join)>(crew, begin, run, join)
      .run(0, size, detail::run_length(crew));
}

// The combination of identity and map(i) for each i of [first, last), from left to right:
// combine(a, b) must be associative, not commutative, and combine(identity, a) must be a.
// Everything else as parallel_for(); combine is called by many threads at once, too.
// Source of the form: std::transform_reduce.
template <detail::loop_index Index, class T, class Map, class Combine>
T parallel_reduce(Index first, std::type_identity_t<Index> last, T identity, Map&& map,
                  Combine&& combine, std::ptrdiff_t grain = 0) {
  const std::ptrdiff_t size = detail::loop_size("parallel_reduce", first, last, grain);
  detail::loop_crew crew(grain);
  auto begin = [&identity]() -> T { return std::as_const(identity); };
  auto run = [&](T& value, std::ptrdiff_t from, std::ptrdiff_t to) {
    for (; from != to; ++from) {
      value = combine(std::move(value), map(detail::element_at(first, from)));
    }
  };
  auto join = [&](T a, T b) -> T { return combine(std::move(a), std::move(b)); };
  return detail::loop<T, decltype(begin), decltype(run), decltype(join)>(crew, begin, run, join)
      .run(0, size, detail::run_length(crew));
}

// Calls all functions, each in a thread of its own but for the last, which the caller runs; waits
// for all. The first exception is thrown after all have ended.
template <class... Functions>
requires(sizeof...(Functions) > 0) void parallel_invoke(Functions&&... functions) {
  scope all;
  std::size_t left = sizeof...(Functions);
  const auto one = [&all, &left](auto&& function) {
    if (--left == 0) {
      std::invoke(std::forward<decltype(function)>(function));
    } else {
      all.spawn([&function] { std::invoke(std::forward<decltype(function)>(function)); });
    }
  };
  (one(std::forward<Functions>(functions)), ...);
  all.join();
}

}  // namespace treadle
