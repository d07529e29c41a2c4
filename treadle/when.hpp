// when_all and when_any: see treadle/future.hpp, which includes this.
//
// No thread waits: each input has a watcher, which the provider of that input calls.
#pragma once

#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "treadle/promise.hpp"

namespace treadle {

// The futures, one of which is ready, and which one that is; SIZE_MAX for no futures.
template <class Sequence>
struct when_any_result {
  std::size_t index = static_cast<std::size_t>(-1);
  Sequence futures;
};

namespace detail {

// The futures of a sequence by number.
template <class Future>
future_state& state_at(std::vector<Future>& futures, std::size_t index) {
  return future_access::state_of(futures[index]);
}
template <class... Futures>
future_state& state_at(std::tuple<Futures...>& futures, std::size_t index) {
  future_state* found = nullptr;
  std::size_t number = 0;
  std::apply(
      [&](auto&... each) {
        ((number++ == index ? void(found = &future_access::state_of(each)) : void()), ...);
      },
      futures);
  return *found;
}

// What the two have in common: the watchers, each of which holds a count of the state.
template <class Derived, class Result, class Ground>
class gathering_state : public basic_result_state<Result, Ground> {
 protected:
  explicit gathering_state(std::size_t count)
      : count_(count), watchers_(std::make_unique<watcher[]>(count)) {}

  // False when it is ready already.
  bool watch(std::size_t index, basic_future_state<Ground>& input) noexcept {
    watcher& mine = watchers_[index];
    mine.home = this;
    mine.notify = [](sync::result_watcher& self) noexcept {
      gathering_state& home = *static_cast<watcher&>(self).home;
      const auto number =
          static_cast<std::size_t>(static_cast<watcher*>(&self) - home.watchers_.get());
      static_cast<Derived&>(home).note_ready(number);
      home.release();
    };
    this->share();
    if (input.watch(mine)) return true;
    this->release();
    return false;
  }

  // By who gathers: it has been, and at once or in time will be noted.
  bool is_watched(std::size_t index) const noexcept { return watchers_[index].home != nullptr; }

  const std::size_t count_;

 private:
  struct watcher : sync::result_watcher {
    gathering_state* home = nullptr;
  };

  const std::unique_ptr<watcher[]> watchers_;
};

// `Sequence` is a vector or a tuple of futures, and in a test what has a state_at() of its own.
template <class Sequence, class Ground = sync::result_ground>
class all_state : public gathering_state<all_state<Sequence, Ground>, Sequence, Ground> {
  using base_state = gathering_state<all_state<Sequence, Ground>, Sequence, Ground>;

 public:
  all_state(Sequence futures, std::size_t count) : base_state(count), left_(count + 1) {
    this->make_value(std::move(futures));
  }
  void gather() {
    for (std::size_t i = 0; i < this->count_; ++i) {
      auto& input = state_at(this->value(), i);
      if (input.is_deferred()) input.wait();
      if (!this->watch(i, input)) note_ready(i);
    }
    note_ready(this->count_);  // only now may the futures be taken away
  }

 private:
  friend base_state;

  void note_ready(std::size_t) noexcept {
    // acq_rel: the last one publishes what all of them have seen
    if (left_.fetch_sub(1, base::acq_rel) == 1) this->publish();
  }

  typename Ground::template flag<std::size_t> left_;
};

template <class Sequence, class Ground = sync::result_ground>
class any_state
    : public gathering_state<any_state<Sequence, Ground>, when_any_result<Sequence>, Ground> {
  using base_state =
      gathering_state<any_state<Sequence, Ground>, when_any_result<Sequence>, Ground>;

 public:
  any_state(Sequence futures, std::size_t count) : base_state(count) {
    this->make_value(when_any_result<Sequence>{nobody, std::move(futures)});
  }
  void gather() {
    // All of them, also behind the first that is ready: who drops the outcome would else be the
    // last to hold the future of an async(), and wait for its thread.
    for (std::size_t i = 0; i < this->count_; ++i) {
      auto& input = state_at(this->value().futures, i);
      if (!input.is_deferred() && !this->watch(i, input)) note_ready(i);
    }
    for (std::size_t i = 0; i < this->count_ && !has_winner(); ++i) {
      if (this->is_watched(i)) continue;
      // A deferred call that another holder has begun meanwhile is deferred no more.
      auto& input = state_at(this->value().futures, i);
      if (input.is_deferred()) input.wait();
      if (!this->watch(i, input)) note_ready(i);
    }
    if (this->count_ == 0) open_.fetch_sub(1, base::relaxed);  // relaxed: nobody else knows it
    finish_part();  // only now may the futures be taken away
  }

 private:
  friend base_state;

  static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

  bool has_winner() const noexcept {
    return winner_.load(base::relaxed) != nobody;  // relaxed: a hint to stop looking
  }
  void note_ready(std::size_t index) noexcept {
    std::size_t expected = nobody;
    // relaxed, both: finish_part() publishes it
    if (!winner_.compare_exchange_strong(expected, index, base::relaxed, base::relaxed)) return;
    finish_part();
  }
  // The first ready one, and the end of gather().
  void finish_part() noexcept {
    // acq_rel: the second one publishes what both have done
    if (open_.fetch_sub(1, base::acq_rel) != 1) return;
    this->value().index = winner_.load(base::relaxed);  // relaxed: ordered by open_
    this->publish();
  }

  typename Ground::template flag<std::size_t> winner_{nobody};
  typename Ground::template flag<unsigned> open_{2};
};

template <class Result, class State, class Sequence>
future<Result> gather(Sequence futures, std::size_t count) {
  // Before anything else: future_error no_state for one without a state.
  for (std::size_t i = 0; i < count; ++i) state_at(futures, i);
  auto* made = new State(std::move(futures), count);
  future<Result> outcome = future_access::make<Result>(state_handle<result_state<Result>>(made));
  made->gather();
  return outcome;
}

template <class T>
inline constexpr bool is_future = false;
template <class R>
inline constexpr bool is_future<future<R>> = true;
template <class R>
inline constexpr bool is_future<shared_future<R>> = true;

template <class... Futures>
concept futures = (is_future<std::decay_t<Futures>> && ...);

template <class Iterator>
std::vector<typename std::iterator_traits<Iterator>::value_type> collect(Iterator first,
                                                                         Iterator last) {
  using kept = typename std::iterator_traits<Iterator>::value_type;
  std::vector<kept> all;
  for (; first != last; ++first) {
    if constexpr (std::is_copy_constructible_v<kept>) {
      all.push_back(*first);
    } else {
      all.push_back(std::move(*first));
    }
  }
  return all;
}

}  // namespace detail

// A future of the given ones, which is ready when all of them are; they are then got from it and
// give their values or exceptions. futures are moved, shared_futures copied.
// Blocks: not, but that deferred calls among them are run here. No thread waits anywhere; the
// outcome is published by the thread that makes the last one ready.
// Destroying the result does not wait for the inputs, not even for those of an async().
// Errors: future_error no_state when one has no state; std::bad_alloc.
// Source: when_all of the Concurrency TS (ISO/IEC TS 19571:2016).
template <class Future>
[[nodiscard]] future<std::vector<Future>> when_all(std::vector<Future> futures) {
  using sequence = std::vector<Future>;
  const std::size_t count = futures.size();
  return detail::gather<sequence, detail::all_state<sequence>>(std::move(futures), count);
}
template <class Iterator>
requires(std::input_iterator<Iterator>) [[nodiscard]] auto when_all(Iterator first, Iterator last) {
  return when_all(detail::collect(first, last));
}
template <class... Futures>
requires(detail::futures<Futures...>)
    [[nodiscard]] future<std::tuple<std::decay_t<Futures>...>> when_all(Futures&&... futures) {
  using sequence = std::tuple<std::decay_t<Futures>...>;
  return detail::gather<sequence, detail::all_state<sequence>>(
      sequence(std::forward<Futures>(futures)...), sizeof...(Futures));
}

// The same, ready as soon as one of them is. Deferred calls are run here, one after the other, as
// long as none is ready.
template <class Future>
[[nodiscard]] future<when_any_result<std::vector<Future>>> when_any(std::vector<Future> futures) {
  using sequence = std::vector<Future>;
  const std::size_t count = futures.size();
  return detail::gather<when_any_result<sequence>, detail::any_state<sequence>>(std::move(futures),
                                                                                count);
}
template <class Iterator>
requires(std::input_iterator<Iterator>) [[nodiscard]] auto when_any(Iterator first, Iterator last) {
  return when_any(detail::collect(first, last));
}
template <class... Futures>
requires(detail::futures<Futures...>)
    [[nodiscard]] future<when_any_result<std::tuple<std::decay_t<Futures>...>>> when_any(
        Futures&&... futures) {
  using sequence = std::tuple<std::decay_t<Futures>...>;
  return detail::gather<when_any_result<sequence>, detail::any_state<sequence>>(
      sequence(std::forward<Futures>(futures)...), sizeof...(Futures));
}

}  // namespace treadle
