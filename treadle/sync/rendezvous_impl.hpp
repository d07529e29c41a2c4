// The rare paths of basic_rendezvous. Included by raw_channel.cpp and by the tests that explore
// them.
#pragma once

#include "treadle/base/check.hpp"
#include "treadle/sync/rendezvous.hpp"

namespace treadle::sync {

template <class Ground>
void basic_rendezvous<Ground>::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  base::fail_misuse("channel::~channel", "threads still wait on it");
}

// Without a call that comes back, but for the wait: nothing need be saved around it.
template <class Ground>
[[gnu::noinline]] channel_status basic_rendezvous<Ground>::wait_first(channel_side side,
                                                                      const element& kind,
                                                                      void* value) noexcept {
  node mine(Ground::self(), value);
  if (!swap_if_alone(idle, lone_word(mine, side))) return pass_slowly(side, kind, value, {});
  static_cast<void>(Ground::wait(mine, base::deadline::never()));
  return mine.result;
}

// Leaves the word `busy`, and a lone node in its list.
template <class Ground>
void basic_rendezvous<Ground>::lock() noexcept {
  typename Ground::pause pause;
  std::uintptr_t seen = word_.load(base::relaxed);  // relaxed: validated by the CAS
  // acquire: the lists and the lone node are those that the last holder left
  while (seen == busy || !word_.compare_exchange_weak(seen, busy, base::acquire, base::relaxed)) {
    if (seen != busy) continue;
    pause.once();
    seen = word_.load(base::relaxed);
  }
  if (is_lone(seen)) {
    queue_of((seen & senders) != 0 ? channel_side::sender : channel_side::receiver)
        .push(node_in(seen));
  }
}

// The last touch of the channel, unless it is the caller's to keep.
template <class Ground>
void basic_rendezvous<Ground>::unlock() noexcept {
  const std::uintptr_t waits =
      (senders_.empty() ? idle : senders) | (receivers_.empty() ? idle : receivers);
  word_.store(over_ ? closed : waits, base::release);  // pairs with the next holder's acquire
}

template <class Ground>
[[gnu::noinline]] channel_status basic_rendezvous<Ground>::pass_slowly(
    channel_side side, const element& kind, void* value, channel_patience patience) noexcept {
  channel_wait<Ground> mine(value, patience.limit);
  node* met = nullptr;
  bool is_over = false;
  {
    const base::counted_as_lock counted_here;
    lock();
    is_over = over_;
    if (!is_over) met = queue_of(opposite(side)).pop();
    if (!is_over && met == nullptr && !patience.none) queue_of(side).push(mine.node());
    unlock();
  }
  if (is_over) return channel_status::closed;
  if (met != nullptr) {
    move(side, kind, value, met->value);
    grant(*met);
    return channel_status::done;
  }
  if (patience.none) return channel_status::gave_up;
  const channel_status result = mine.end();
  if (result == channel_status::gave_up) withdraw(side, mine.node());
  return result;
}

template <class Ground>
void basic_rendezvous<Ground>::withdraw(channel_side side, node& mine) noexcept {
  const base::counted_as_lock counted_here;
  lock();
  queue_of(side).remove(mine);
  unlock();
}

template <class Ground>
bool basic_rendezvous<Ground>::close() noexcept {
  closed_waits<Ground> waits;
  bool was_over = false;
  {
    const base::counted_as_lock counted_here;
    lock();
    was_over = over_;
    over_ = true;
    waits.take_all(senders_);
    waits.take_all(receivers_);
    unlock();
  }
  waits.grant_all();
  return !was_over;
}

}  // namespace treadle::sync
