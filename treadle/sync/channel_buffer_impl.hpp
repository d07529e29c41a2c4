// The rare paths of basic_channel_buffer. Included by raw_channel.cpp and by the tests that explore
// them.
#pragma once

#include <algorithm>
#include <bit>
#include <new>

#include "treadle/base/check.hpp"
#include "treadle/sync/channel_buffer.hpp"

namespace treadle::sync {

// Guess: about a page of values in a chunk, and not too few of the large ones.
inline constexpr std::size_t channel_chunk_bytes = 4096;
inline constexpr std::size_t channel_chunk_cells_min = 8;

template <class Ground>
bool basic_channel_buffer<Ground>::open(const element& kind, std::uint64_t capacity) noexcept {
  capacity_ = capacity;
  alignment_ = std::max(kind.alignment, alignof(chunk));
  std::uint64_t cells;
  if (capacity == no_bound) {
    offset_ = (sizeof(chunk) + alignment_ - 1) / alignment_ * alignment_;
    cells = std::bit_floor(std::max(channel_chunk_bytes / kind.bytes, channel_chunk_cells_min));
  } else {
    cells = std::bit_ceil(capacity);
  }
  mask_ = cells - 1;
  chunk* const first = make_chunk(kind);
  if (first == nullptr) return false;
  sending_.cells = receiving_.cells = reinterpret_cast<std::byte*>(first) + offset_;
  if (capacity == no_bound) sending_.chunk_end = receiving_.chunk_end = cells;
  return true;
}

template <class Ground>
basic_channel_buffer<Ground>::~basic_channel_buffer() {
  if (!sending_.waits.empty() || !receiving_.waits.empty()) [[unlikely]]
    destroyed_in_use();
  if (receiving_.cells == nullptr) return;
  auto* each = reinterpret_cast<chunk*>(receiving_.cells - offset_);
  while (each != nullptr) {
    chunk* const next = capacity_ == no_bound ? each->next : nullptr;
    free_chunk(each);
    each = next;
  }
  free_chunk(spare_.load(base::relaxed));  // relaxed: nobody else is there
}

template <class Ground>
void basic_channel_buffer<Ground>::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  base::fail_misuse("channel::~channel", "threads still wait on it");
}

template <class Ground>
void basic_channel_buffer<Ground>::clear(const element& kind) noexcept {
  // relaxed, all: nobody else is there
  std::uint64_t head = receiving_.place.load(base::relaxed);
  const std::uint64_t tail = position_in(sending_.place.load(base::relaxed));
  for (; position_in(head) != tail; head += one) {
    if (position_in(head) == receiving_.chunk_end && capacity_ == no_bound) {
      free_chunk(next_chunk());
    }
    kind.end(cell(receiving_, kind, position_in(head)));
  }
  receiving_.place.store(head, base::relaxed);
}

template <class Ground>
auto basic_channel_buffer<Ground>::make_chunk(const element& kind) noexcept -> chunk* {
  const std::size_t bytes = offset_ + (mask_ + 1) * kind.bytes;
  void* const memory =
      ::operator new(std::max(bytes, sizeof(chunk)), std::align_val_t(alignment_), std::nothrow);
  return memory == nullptr ? nullptr : ::new (memory) chunk{nullptr};
}

template <class Ground>
void basic_channel_buffer<Ground>::free_chunk(chunk* which) noexcept {
  if (which != nullptr) ::operator delete(which, std::align_val_t(alignment_));
}

template <class Ground>
void basic_channel_buffer<Ground>::lock(side& at) noexcept {
  typename Ground::pause pause;
  std::uint64_t seen = at.place.load(base::relaxed);  // relaxed: validated by the CAS
  while (!try_lock(at, seen)) {
    if ((seen & busy) == 0) continue;
    pause.once();
    seen = at.place.load(base::relaxed);
  }
}

// For whoever has moved nothing: a receiver may move the tail on meanwhile. Adds `more` to it.
template <class Ground>
void basic_channel_buffer<Ground>::unlock_as_is(side& at, std::uint64_t more) noexcept {
  std::uint64_t seen = at.place.load(base::relaxed);  // relaxed: validated by the CAS
  // release: pairs with the next holder's acquire
  while (!at.place.compare_exchange_weak(seen, (seen & ~std::uint64_t{busy}) + more, base::release,
                                         base::relaxed)) {
  }
}

// With the senders' lock, which it gives back.
template <class Ground>
auto basic_channel_buffer<Ground>::put(const element& kind, void* value, chunk*& fresh,
                                       channel_status& result) noexcept -> step {
  if ((sending_.place.load(base::relaxed) & closed) != 0) {  // relaxed: under the lock
    unlock_as_is(sending_);
    base::uncount_lock();
    // Until whoever closes it has let go of both sides: he may not have done with the channel.
    lock_list(channel_side::sender);
    unlock_list(channel_side::sender);
    result = channel_status::closed;
    return step::ended;
  }
  if (node* const met = sending_.waits.pop()) {
    unlock_as_is(sending_);
    base::uncount_lock();
    kind.move(met->value, value);
    grant(*met);
    result = channel_status::done;
    return step::ended;
  }
  const step outcome = make_room(fresh);
  if (outcome != step::ended) {
    unlock_as_is(sending_);
    base::uncount_lock();
    return outcome;
  }
  // relaxed: where there is room only we change it
  const std::uint64_t seen = sending_.place.load(base::relaxed);
  kind.move(cell(sending_, kind, position_in(seen)), value);
  // release: as in send()
  sending_.place.store((seen & ~std::uint64_t{busy}) + one, base::release);
  base::uncount_lock();
  result = channel_status::done;
  return step::ended;
}

// With the senders' lock, and nobody waits to receive: sets the limit. `ended` when there is room.
template <class Ground>
auto basic_channel_buffer<Ground>::make_room(chunk*& fresh) noexcept -> step {
  if (capacity_ != no_bound) {
    // acquire: pairs with the receivers' release, who have done with their cells
    const std::uint64_t head = receiving_.place.load(base::acquire);
    sending_.limit = position_in(head) + capacity_;
    // relaxed: after the head, see the head of channel_buffer.hpp
    const std::uint64_t tail = position_in(sending_.place.load(base::relaxed));
    return tail < sending_.limit ? step::ended : step::must_wait;
  }
  // relaxed: without a bound only we change it
  if (position_in(sending_.place.load(base::relaxed)) == sending_.chunk_end) {
    chunk* next = spare_.load(base::acquire);  // pairs with take(), which left it
    if (next != nullptr) {
      spare_.store(nullptr, base::relaxed);  // relaxed: they only look whether it is null
      next->next = nullptr;
    } else {
      next = std::exchange(fresh, nullptr);
    }
    if (next == nullptr) return step::needs_chunk;
    // Published with the position.
    reinterpret_cast<chunk*>(sending_.cells - offset_)->next = next;
    sending_.cells = reinterpret_cast<std::byte*>(next) + offset_;
    sending_.chunk_end += mask_ + 1;
  }
  sending_.limit = sending_.chunk_end;
  return step::ended;
}

// With the receivers' lock or alone, where another value lies in the next chunk: goes there, and
// returns the one that is no longer used.
template <class Ground>
auto basic_channel_buffer<Ground>::next_chunk() noexcept -> chunk* {
  auto* const old = reinterpret_cast<chunk*>(receiving_.cells - offset_);
  receiving_.cells = reinterpret_cast<std::byte*>(old->next) + offset_;
  receiving_.chunk_end += mask_ + 1;
  return old;
}

// With the receivers' lock, which it gives back.
template <class Ground>
auto basic_channel_buffer<Ground>::take(const element& kind, void* to,
                                        channel_status& result) noexcept -> step {
  // relaxed: ours while we hold the lock
  const std::uint64_t seen = receiving_.place.load(base::relaxed);
  const std::uint64_t head = position_in(seen);
  // acquire: pairs with the senders' release, publishes the values and the chunks
  std::uint64_t tail = position_in(sending_.place.load(base::acquire));
  const std::uint64_t unlocked = seen & ~std::uint64_t{busy};
  if (head == tail) {
    receiving_.place.store(unlocked, base::release);  // pairs with the next holder's acquire
    base::uncount_lock();
    result = channel_status::closed;
    return (seen & closed) != 0 ? step::ended : step::must_wait;
  }
  chunk* retired = nullptr;
  if (head == receiving_.chunk_end && capacity_ == no_bound) {
    retired = next_chunk();
    if (spare_.load(base::relaxed) == nullptr) {  // relaxed: only we put one there
      spare_.store(retired, base::release);       // pairs with make_room()
      retired = nullptr;
    }
  }
  void* const from = cell(receiving_, kind, head);
  kind.move(to, from);
  kind.end(from);
  node* const met = receiving_.waits.pop();
  if (met != nullptr) {
    TREADLE_ASSERT(tail - head == capacity_, "a sender waits though there is room");
    kind.move(cell(receiving_, kind, tail), met->value);
    // Full until our own unlock: senders change no more than the lock's bit. release: as in send()
    std::uint64_t now = sending_.place.load(base::relaxed);  // relaxed: validated by the CAS
    while (!sending_.place.compare_exchange_weak(now, now + one, base::release, base::relaxed)) {
    }
    ++tail;
  }
  receiving_.limit = tail;
  if (capacity_ == no_bound) receiving_.limit = std::min(tail, receiving_.chunk_end);
  if (!receiving_.waits.empty()) receiving_.limit = 0;
  receiving_.place.store(unlocked + one, base::release);  // as in receive()
  base::uncount_lock();
  free_chunk(retired);
  if (met != nullptr) grant(*met);
  result = channel_status::done;
  return step::ended;
}

// Puts the node where the other side finds it. False when there is something to do again.
template <class Ground>
bool basic_channel_buffer<Ground>::enlist(channel_side which, node& mine) noexcept {
  const base::counted_as_lock counted_here;
  lock_list(which);
  const bool waits = must_wait(which);
  if (waits) push(which, mine);
  unlock_list(which);
  return waits;
}

// False when there is something to do again.
template <class Ground>
bool basic_channel_buffer<Ground>::wait(channel_side which, void* place, channel_patience patience,
                                        channel_status& result) noexcept {
  if (patience.none) {
    result = channel_status::gave_up;
    return true;
  }
  channel_wait<Ground> mine(place, patience.limit);
  if (!enlist(which, mine.node())) return false;
  result = mine.end();
  if (result == channel_status::gave_up) withdraw(which, mine.node());
  return true;
}

template <class Ground>
[[gnu::noinline]] channel_status basic_channel_buffer<Ground>::send_slowly(
    const element& kind, void* value, channel_patience patience) noexcept {
  lock(sending_);
  return send_locked(kind, value, patience);
}

template <class Ground>
[[gnu::noinline]] channel_status basic_channel_buffer<Ground>::send_locked(
    const element& kind, void* value, channel_patience patience) noexcept {
  channel_status result = channel_status::done;
  chunk* fresh = nullptr;
  for (;;) {
    const step outcome = put(kind, value, fresh, result);
    if (outcome == step::ended) break;
    if (outcome == step::needs_chunk) {
      fresh = make_chunk(kind);
      if (fresh == nullptr) return channel_no_memory;
    } else if (wait(channel_side::sender, value, patience, result)) {
      break;
    }
    base::count_lock();
    lock(sending_);
  }
  free_chunk(fresh);
  return result;
}

template <class Ground>
[[gnu::noinline]] channel_status basic_channel_buffer<Ground>::receive_slowly(
    const element& kind, void* to, channel_patience patience) noexcept {
  lock(receiving_);
  return receive_locked(kind, to, patience);
}

template <class Ground>
[[gnu::noinline]] channel_status basic_channel_buffer<Ground>::receive_locked(
    const element& kind, void* to, channel_patience patience) noexcept {
  channel_status result = channel_status::done;
  while (take(kind, to, result) != step::ended &&
         !wait(channel_side::receiver, to, patience, result)) {
    base::count_lock();
    lock(receiving_);
  }
  return result;
}

template <class Ground>
void basic_channel_buffer<Ground>::withdraw(channel_side which, node& mine) noexcept {
  const base::counted_as_lock counted_here;
  lock_list(which);
  other_side(which).waits.remove(mine);
  unlock_list(which);
}

// Under both locks, the senders' first; a receiver sees the end after the last touch.
template <class Ground>
bool basic_channel_buffer<Ground>::close() noexcept {
  closed_waits<Ground> waits;
  bool was_closed = false;
  {
    const base::counted_as_lock counted_here;
    lock(sending_);
    lock(receiving_);
    was_closed = is_closed();
    const std::uint64_t once = was_closed ? 0 : 1;
    waits.take_all(sending_.waits);
    waits.take_all(receiving_.waits);
    sending_.limit = 0;
    unlock_as_is(sending_, once * no_more_sent);
    unlock_as_is(receiving_, once * no_more_there);
  }
  waits.grant_all();
  return !was_closed;
}

}  // namespace treadle::sync
