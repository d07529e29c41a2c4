// select(): waits for several things at once and does the first that can be done.
//
//   treadle::select(
//       on_receive(requests, [&](std::optional<request> next) { ... }),
//       on_send(results, std::move(result), [&] { ... }),
//       on_readable(socket, [&] { ... }),
//       after(50ms, [&] { ... }),
//       on_stop(token, [&] { ... }));
//
// Exactly one of the cases happens, and its callback is called in the calling thread after the
// choice; its exceptions are select's. The result is the number of the case, from 0. Of several
// that are ready one is chosen at random, each as likely.
//   - on_receive(channel, f): f gets what receive() would have brought, a `received<T>` or a
//     std::optional<T>, without a value when the channel is closed and empty.
//   - on_send(channel, value, f): f is called when the value was sent. On a closed channel the case
//     is ready too; f is then called only if it takes the channel_status. The value is moved from
//     when it was sent only.
//   - on_readable(descriptor, f), on_writable(descriptor, f): f is called when a read or a write
//     would not block, or when it would fail. Costs a system call or two each time.
//   - on_stop(token, f): when a stop is requested; channels and descriptors that are ready at that
//     moment come first.
//   - after(span, f), at(point, f): what is ready at that moment comes first, a stop included. A
//     span runs from when select() begins to wait: where it does not wait, zero or less has passed.
//   - otherwise(f): when nothing is ready, neither a stop nor a time; select() then does not wait.
// At most one each of the last three kinds. The same channel may be in several cases, both ways
// too: a select never meets itself. The channels must live until it comes back. What blocks is the
// treadle thread; the thread's own stop token does not end it unless given.
// Happens-before: as the channels'. Errors: as the channels' and, of the system calls for
// descriptors, std::system_error. Source: Go's select; Hoare's CSP.
#pragma once

#include <poll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include "treadle/channel.hpp"
#include "treadle/select_cases.hpp"
#include "treadle/sync/raw_select.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {
namespace detail {

// With the cases of `channels`, and of `descriptors` those that are ready, whose number comes after
// the channels'. Nothing when the limit came first; `at_once` does not wait. Null: for ever.
sync::select_outcome select_with_descriptors(sync::raw_select& channels, pollfd* descriptors,
                                             std::uint32_t count, const wait_limit* limit,
                                             bool at_once);

template <class... Cases>
class selection {
  template <case_kind Kind>
  static constexpr std::size_t count_of = ((Cases::kind == Kind ? 1 : 0) + ... + 0);
  static constexpr bool has_time = count_of<case_kind::time> != 0;
  static constexpr bool has_stop = count_of<case_kind::stop> != 0;

 public:
  static constexpr std::size_t channels = count_of<case_kind::channel>;
  static constexpr std::size_t descriptors = count_of<case_kind::descriptor>;
  static constexpr bool has_otherwise = count_of<case_kind::otherwise> != 0;

 private:
  static_assert(sizeof...(Cases) != 0, "select() of nothing never ends");
  static_assert(channels + descriptors <= sync::raw_select::cases_max, "too many cases");
  static_assert(count_of<case_kind::time> <= 1 && count_of<case_kind::stop> <= 1 &&
                    count_of<case_kind::otherwise> <= 1,
                "one time, one stop token and one otherwise() at most");

 public:
  [[gnu::always_inline]] static std::size_t run(Cases&... cases) {
    const std::size_t done = run_at_once(cases...);
    if (done != sizeof...(Cases)) return done;
    return wait_with(static_cast<typename Cases::passed>(cases)...);
  }
  // The number of the case that was done without a wait, or of cases.
  [[gnu::always_inline]] static std::size_t run_at_once(Cases&... cases) {
    // With descriptors the system is asked at once: a busy channel must not hide them.
    if constexpr (channels != 0 && descriptors == 0) {
      return try_channels(std::index_sequence_for<Cases...>(), cases...);
    }
    return sizeof...(Cases);
  }

  // For whoever waits in another way: lists, a wait with them, finish().
  explicit selection(typename Cases::passed... cases) : cases_(cases...) {}

  // What a wait needs, in place.
  struct lists {
    explicit lists(selection& of) : limit(of.make_limit()) {
      std::size_t raw_count = 0;
      std::size_t watched_count = 0;
      const auto collect = [&](auto& one) {
        using kind_of = std::remove_reference_t<decltype(one)>;
        if constexpr (kind_of::kind == case_kind::channel) raw[raw_count++] = one.raw();
        if constexpr (kind_of::kind == case_kind::descriptor) watched[watched_count++] = one.what;
      };
      std::apply([&](auto&... one) { (collect(one), ...); }, of.cases_);
    }
    lists(const lists&) = delete;
    lists& operator=(const lists&) = delete;

    const wait_limit* bound() const noexcept { return has_time || has_stop ? &limit : nullptr; }

    using node = sync::channel_node<sync::channel_ground>;
    const wait_limit limit;
    std::array<sync::select_case<sync::channel_ground>, channels + 1> raw;
    std::array<pollfd, descriptors + 1> watched;
    alignas(node) std::byte nodes[(channels + 1) * sizeof(node)];
    sync::raw_select waits{raw.data(), channels, nodes};
  };

  // Calls back; the number of the case.
  std::size_t finish(sync::select_outcome outcome) {
    if (outcome.index != sync::select_outcome::nothing) {
      return outcome.index < channels ? end(nth(case_kind::channel, outcome.index), outcome.status)
                                      : end(nth(case_kind::descriptor, outcome.index - channels));
    }
    return end(index_of(kind_without_channels()));
  }

 private:
  // As run_at_once(). Nothing is written down for a wait.
  template <std::size_t... I>
  [[gnu::always_inline]] static std::size_t try_channels(std::index_sequence<I...>,
                                                         Cases&... cases) {
    const auto settle = [&] { (settle_one(cases), ...); };
    std::uint64_t ready = 0;
    (note_ready<I>(cases, ready), ...);
    while (ready != 0) {
      const std::uint64_t chosen = sync::choose_ready<sync::channel_ground>(ready);
      std::size_t done = sizeof...(Cases);
      if (((chosen == bit<I> && attempt(cases, settle) && (done = I, true)) || ...)) {
        return done;
      }
      // Somebody was faster. A wait looks at the others, too.
      if constexpr (!has_otherwise) break;
      ready &= ~chosen;
    }
    return sizeof...(Cases);
  }
  // Of a channel's case; the others have none.
  static constexpr std::uint64_t bit_of(std::size_t index) {
    constexpr case_kind kinds[] = {Cases::kind...};
    if (kinds[index] != case_kind::channel) return 0;
    std::uint64_t one = 1;
    for (std::size_t i = 0; i < index; ++i) one <<= kinds[i] == case_kind::channel ? 1 : 0;
    return one;
  }
  template <std::size_t I>
  static constexpr std::uint64_t bit = bit_of(I);
  // A bit for each case that seems ready. By branches: few are, and where that can be foretold it
  // is free, while a bit that is computed for each takes twice the instructions.
  template <std::size_t I, class Case>
  [[gnu::always_inline]] static void note_ready(const Case& one, std::uint64_t& ready) noexcept {
    if constexpr (Case::kind == case_kind::channel) {
      if (one.seems_ready()) [[unlikely]] {
        ready |= bit<I>;
        asm("" : "+r"(ready));  // else the compiler makes it a computed bit again
      }
    }
  }
  template <class Case, class Settle>
  [[gnu::always_inline]] static bool attempt(Case& one, Settle settle) {
    if constexpr (Case::kind == case_kind::channel) return one.attempt(settle);
    return false;
  }
  template <class Case>
  [[gnu::always_inline]] static void settle_one(Case& one) {
    if constexpr (requires { one.settle(); }) one.settle();
  }

  [[gnu::noinline]] static std::size_t wait_with(typename Cases::passed... cases) {
    return selection(cases...).wait();
  }

  std::size_t wait() {
    if constexpr (has_otherwise && descriptors == 0) return end(index_of(kind_without_channels()));
    lists all(*this);
    sync::select_outcome outcome;
    if constexpr (descriptors == 0) {
      outcome = all.waits.run(all.bound());
    } else {
      outcome = select_with_descriptors(all.waits, all.watched.data(), descriptors, all.bound(),
                                        has_otherwise);
    }
    return finish(outcome);
  }

  // What it is when no channel and no descriptor was ready: a stop, then a time, then otherwise().
  // Without otherwise() the last of these needs no look: it has ended the wait.
  case_kind kind_without_channels() const noexcept {
    if constexpr (has_stop) {
      constexpr std::size_t stop_at = index_of(case_kind::stop);
      if constexpr (!has_time && !has_otherwise) return case_kind::stop;
      if (std::get<stop_at>(cases_).what.stop_requested()) return case_kind::stop;
    }
    if constexpr (has_time) {
      constexpr std::size_t time_at = index_of(case_kind::time);
      if constexpr (!has_otherwise) return case_kind::time;
      if (has_come(std::get<time_at>(cases_).what)) return case_kind::time;
    }
    return case_kind::otherwise;
  }

  static constexpr std::size_t nth(case_kind kind, std::size_t n) noexcept {
    constexpr case_kind kinds[] = {Cases::kind...};
    std::size_t at = 0;
    while (at < sizeof...(Cases) && (kinds[at] != kind || n-- != 0)) ++at;
    return at;
  }
  static constexpr std::size_t index_of(case_kind kind) noexcept { return nth(kind, 0); }

  wait_limit make_limit() const {
    constexpr std::size_t time_at = index_of(case_kind::time);
    constexpr std::size_t stop_at = index_of(case_kind::stop);
    if constexpr (has_time && has_stop) {
      return {std::get<time_at>(cases_).what, std::get<stop_at>(cases_).what};
    } else if constexpr (has_time) {
      return {std::get<time_at>(cases_).what};
    } else if constexpr (has_stop) {
      return {std::get<stop_at>(cases_).what};
    } else {
      return {};
    }
  }

  std::size_t end(std::size_t chosen, channel_status status = channel_status::done) {
    std::apply([](auto&... one) { (one.settle(), ...); }, cases_);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      static_cast<void>(((chosen == I && (std::get<I>(cases_).finish(status), true)) || ...));
    }
    (std::index_sequence_for<Cases...>());
    return chosen;
  }

  std::tuple<typename Cases::waiting...> cases_;
};

}  // namespace detail

// The cases; they refer to their arguments, so use them in the call of select() only.
template <class T, class F>
auto on_receive(channel<T>& from, F&& f) {
  return detail::receive_case<T, F>(from, std::forward<F>(f));
}
template <class T, class F>
auto on_send(channel<T>& to, std::type_identity_t<T>&& value, F&& f) {
  return detail::send_case<T, T&, F>(to, value, std::forward<F>(f));
}
template <class T, class F>
auto on_send(channel<T>& to, const std::type_identity_t<T>& value, F&& f) {
  return detail::send_case<T, T, F>(to, T(value), std::forward<F>(f));
}
template <class F>
auto on_readable(int descriptor, F&& f) {
  return detail::plain_case<F, detail::case_kind::descriptor, pollfd>{
      {descriptor, POLLIN | POLLRDHUP, 0}, std::forward<F>(f)};
}
template <class F>
auto on_writable(int descriptor, F&& f) {
  return detail::plain_case<F, detail::case_kind::descriptor, pollfd>{{descriptor, POLLOUT, 0},
                                                                      std::forward<F>(f)};
}
template <class Rep, class Period, class F>
auto after(const std::chrono::duration<Rep, Period>& span, F&& f) {
  return detail::plain_case<F, detail::case_kind::time, std::chrono::duration<Rep, Period>>{
      span, std::forward<F>(f)};
}
template <class Clock, class Duration, class F>
auto at(const std::chrono::time_point<Clock, Duration>& point, F&& f) {
  return detail::plain_case<F, detail::case_kind::time, std::chrono::time_point<Clock, Duration>>{
      point, std::forward<F>(f)};
}
template <class F>
auto on_stop(std::stop_token token, F&& f) {
  return detail::plain_case<F, detail::case_kind::stop, std::stop_token>{std::move(token),
                                                                         std::forward<F>(f)};
}
template <class F>
auto otherwise(F&& f) {
  return detail::plain_case<F, detail::case_kind::otherwise, detail::nothing>{{},
                                                                              std::forward<F>(f)};
}

// Inlined, as channel's operations are.
template <class... Cases>
[[gnu::always_inline]] inline std::size_t select(Cases&&... cases) {
  return detail::selection<std::remove_reference_t<Cases>...>::run(cases...);
}

}  // namespace treadle
