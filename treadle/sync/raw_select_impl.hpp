// The member functions of basic_select. Included by raw_select.cpp and by the test that explores
// them.
#pragma once

#include "treadle/sync/raw_select.hpp"

namespace treadle::sync {

template <class Ground>
std::uint64_t basic_select<Ground>::ready_now() const noexcept {
  std::uint64_t ready = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (cases_[i].channel->seems_ready(cases_[i].side)) ready |= std::uint64_t{1} << i;
  }
  return ready;
}

template <class Ground>
select_outcome basic_select<Ground>::poll() noexcept {
  std::uint64_t ready = ready_now();
  while (ready != 0) {
    const auto index = static_cast<std::uint32_t>(__builtin_ctzll(choose_ready<Ground>(ready)));
    const one_case& which = cases_[index];
    constexpr channel_patience at_once{nullptr, true};
    const channel_status status = which.side == channel_side::sender
                                      ? which.channel->send(*which.kind, which.value, at_once)
                                      : which.channel->receive(*which.kind, which.value, at_once);
    if (status != channel_status::gave_up) return {index, status};
    ready &= ~(std::uint64_t{1} << index);
  }
  return {};
}

template <class Ground>
select_outcome basic_select<Ground>::run(const base::wait_limit* limit) noexcept {
  for (;;) {
    if (const select_outcome found = poll(); found.index != select_outcome::nothing) return found;
    group mine(Ground::self());
    if (!enlist(mine)) continue;
    const bool granted = wait_or_claim(mine, limit);
    withdraw(mine);
    return granted ? outcome_of(mine) : select_outcome{};
  }
}

template <class Ground>
select_outcome basic_select<Ground>::outcome_of(group& granted) noexcept {
  // relaxed: the grant published it
  return {granted.winner.load(base::relaxed), granted.result};
}

template <class Ground>
bool basic_select<Ground>::enlist(group& mine) noexcept {
  sort();
  for (std::uint32_t i = 0; i < count_; ++i) ::new (&nodes_[i]) node(mine, cases_[i].value, i);
  const base::counted_as_lock counted_here;
  for_each_lock([](const one_case& which) noexcept { which.channel->lock_list(which.side); });
  bool waits = true;
  for (std::uint32_t i = 0; i < count_ && waits; ++i) {
    waits = cases_[i].channel->must_wait(cases_[i].side);
  }
  for (std::uint32_t i = 0; i < count_ && waits; ++i) {
    cases_[i].channel->push(cases_[i].side, nodes_[i]);
  }
  for_each_lock([](const one_case& which) noexcept { which.channel->unlock_list(which.side); });
  return waits;
}

// The winner's channel is left alone: it may be gone.
template <class Ground>
void basic_select<Ground>::withdraw(const group& mine) noexcept {
  const std::uint32_t winner = mine.winner.load(base::relaxed);  // relaxed: stays as it is
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (i != winner) cases_[i].channel->withdraw(cases_[i].side, nodes_[i]);
  }
}

template <class Ground>
void basic_select<Ground>::sort() noexcept {
  if (is_sorted_) return;
  is_sorted_ = true;
  for (std::uint32_t i = 0; i < count_; ++i) {
    std::uint32_t at = i;
    for (; at > 0 && lock_of(order_[at - 1]) > lock_of(i); --at) order_[at] = order_[at - 1];
    order_[at] = static_cast<std::uint8_t>(i);
  }
}

// Each lock once, also when several cases have it.
template <class Ground>
template <class F>
void basic_select<Ground>::for_each_lock(F f) noexcept {
  const void* last = nullptr;
  for (std::uint32_t i = 0; i < count_; ++i) {
    const void* const lock = lock_of(order_[i]);
    if (lock != last) f(cases_[order_[i]]);
    last = lock;
  }
}

}  // namespace treadle::sync
