// co_await on one of several: select() for tasks.
//
//   const std::size_t which = co_await co::select(
//       on_receive(requests, [&](std::optional<request> next) { ... }),
//       after(50ms, [&] { ... }));
//
// Means what select() of <treadle/select.hpp> means, with its cases. Callbacks are plain functions
// and run in the task after the choice; what is to be awaited goes after the select, by its result.
// The cases refer to their arguments: write them into the co_await; but with g++ 12 name a callback
// before that owns what it captures, and move it in (docs/tasks.md). Where there is no poller, a
// select with descriptors waits on a thread.
// Errors: as select(); std::bad_alloc for the frame.
#pragma once

#include <cstddef>

#include "treadle/co_access.hpp"
#include "treadle/select.hpp"

namespace treadle::co {
namespace detail {

// As treadle::detail::select_with_descriptors(), with or without some.
task<sync::select_outcome> select_among(sync::raw_select& channels, pollfd* descriptors,
                                        std::uint32_t count, wait_limit limit, bool at_once);

}  // namespace detail

template <class... Cases>
task<std::size_t> select(Cases... cases) {
  using all_cases = treadle::detail::selection<Cases...>;
  const std::size_t done = all_cases::run_at_once(cases...);
  if (done != sizeof...(Cases)) co_return done;
  all_cases chosen(static_cast<typename Cases::passed>(cases)...);
  typename all_cases::lists all(chosen);
  sync::select_outcome outcome;
  if constexpr (!all_cases::has_otherwise || all_cases::descriptors != 0) {
    outcome = co_await detail::select_among(all.waits, all.watched.data(), all_cases::descriptors,
                                            all.limit, all_cases::has_otherwise);
  }
  co_return chosen.finish(outcome);
}

}  // namespace treadle::co
