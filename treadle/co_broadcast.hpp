// co_await on a subscription of a broadcast.
#pragma once

#include <memory>
#include <utility>

#include "treadle/broadcast.hpp"
#include "treadle/co_locks.hpp"

namespace treadle::co {

template <class Subscription>
concept any_subscription = requires(Subscription& from) {
  access::broadcast(from);
};

// co_await gives a message, as receive() does: done, lagged or closed; within a limit also gave_up.
template <any_subscription Subscription>
task<typename Subscription::message> receive(Subscription& from) {
  typename Subscription::message result;
  auto& home = access::broadcast(from);
  auto hold = co_await lock(home.guard);
  co_await wait(home.changed, hold, [&] { return access::has_news(from); });
  const auto found = access::take(from, result);
  hold.unlock();
  access::complete(from, result, found);
  co_return result;
}
template <any_subscription Subscription>
task<typename Subscription::message> receive(Subscription& from, wait_limit limit) {
  typename Subscription::message result;
  auto& home = access::broadcast(from);
  auto hold = co_await lock(home.guard);
  const bool came =
      co_await wait_within(home.changed, hold, limit, [&] { return access::has_news(from); });
  if (!came) co_return result;
  const auto found = access::take(from, result);
  hold.unlock();
  access::complete(from, result, found);
  co_return result;
}

}  // namespace treadle::co
