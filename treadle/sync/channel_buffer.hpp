// A channel with a buffer, bounded or not: two sides that do not disturb each other.
//
// Each side has one word: a position, counted from the beginning for ever, and bits for `busy` (a
// lock) and `closed`. Senders move the tail, receivers the head. A side's unlock is what moves its
// position on: a value is seen only when its sender has done with the channel, so whoever received
// the last one may destroy it.
// Waiting receivers are in a list under the senders' lock, waiting senders under the receivers':
// under the first nobody can add a value, under the second nobody can take one. Invariants: while a
// receiver waits it is empty, while a sender waits it is full. A sender gives its value to the
// first receiver that waits, past the buffer. A receiver that takes a value puts the first waiting
// sender's behind the last before it lets go; it moves the tail itself, which nobody else can while
// it is full. So where there was room the tail changes by a plain store, else by compare-and-swap.
// Whoever looks for values or room reads the head first: then the distance is never too small.
// `limit` is up to where a side may go without a look at the other. It is 0 while somebody waits on
// the other side, and when the channel is closed. Without a bound values lie in chunks.
// Rejected: a sequence number in each slot (two locked instructions an operation, and nobody may be
// waiting); one lock (two processors then take the line from each other twice a value).
#pragma once

#include <cstdint>

#include "treadle/base/cache_line.hpp"
#include "treadle/base/indirect_return.hpp"
#include "treadle/sync/channel_waiter.hpp"

namespace treadle::sync {

template <class Ground>
class basic_channel_buffer {
  using word = typename Ground::template atomic<std::uint64_t>;
  struct side;

 public:
  using node = channel_node<Ground>;
  using element = channel_element;

  static constexpr std::uint64_t no_bound = ~std::uint64_t{0};
  // Guess: as many values in one piece of memory are a mistake.
  static constexpr std::uint64_t capacity_max = std::uint64_t{1} << 32;

  // `capacity` is from 1 to capacity_max, or no_bound. False when there is no memory.
  [[nodiscard]] bool open(const element& kind, std::uint64_t capacity) noexcept;
  // Ends the values that are left, before the destructor.
  void clear(const element& kind) noexcept;
  basic_channel_buffer() noexcept = default;
  ~basic_channel_buffer();
  basic_channel_buffer(const basic_channel_buffer&) = delete;
  basic_channel_buffer& operator=(const basic_channel_buffer&) = delete;

  // Moves the value out of `value`.
  [[gnu::always_inline]] channel_status send(const element& kind, void* value,
                                             channel_patience patience = {}) noexcept {
    base::count_lock();
    std::uint64_t seen = sending_.place.load(base::relaxed);  // relaxed: validated by the CAS
    if (!try_lock(sending_, seen)) [[unlikely]]
      return send_slowly(kind, value, patience);
    const std::uint64_t at = position_in(seen);
    if (at >= sending_.limit) [[unlikely]]
      return send_locked(kind, value, patience);
    kind.move(cell(sending_, kind, at), value);
    // release: pairs with the next holder's acquire, and publishes the value to receivers
    sending_.place.store(seen + one, base::release);
    base::uncount_lock();
    return channel_status::done;
  }

  // Makes a value at `to`.
  [[gnu::always_inline]] channel_status receive(const element& kind, void* to,
                                                channel_patience patience = {}) noexcept {
    base::count_lock();
    std::uint64_t seen = receiving_.place.load(base::relaxed);  // relaxed: validated by the CAS
    if (!try_lock(receiving_, seen)) [[unlikely]]
      return receive_slowly(kind, to, patience);
    const std::uint64_t at = position_in(seen);
    if (at >= receiving_.limit) [[unlikely]]
      return receive_locked(kind, to, patience);
    void* const from = cell(receiving_, kind, at);
    kind.move(to, from);
    kind.end(from);
    // release: pairs with the next holder's acquire, and gives the room to senders
    receiving_.place.store(seen + one, base::release);
    base::uncount_lock();
    return channel_status::done;
  }

  // True when that was now and not before.
  bool close() noexcept;

  // Guesses, unless the caller knows that nobody is at it.
  [[gnu::always_inline]] bool seems_ready(channel_side which) const noexcept {
    const std::uint64_t head = receiving_.place.load(base::acquire);  // head first: see above
    const std::uint64_t tail = sending_.place.load(base::relaxed);    // relaxed: a guess
    // Positions or ends: a select asks this of all its channels, one after the other.
    if (which == channel_side::receiver) return (head ^ tail) > busy;
    if (((head | tail) & closed) != 0) return true;
    const std::uint64_t there = position_in(tail) - position_in(head);
    return there < capacity_;
  }
  bool is_closed() const noexcept {
    return (receiving_.place.load(base::relaxed) & closed) != 0;  // relaxed: a guess
  }
  std::uint64_t size() const noexcept {
    const std::uint64_t head = receiving_.place.load(base::acquire);  // head first: see above
    const std::uint64_t there =
        position_in(sending_.place.load(base::relaxed)) - position_in(head);  // relaxed: a guess
    return there < capacity_ ? there : capacity_;
  }

  // For selects. Under the lock: whether nobody could be served, and putting nodes in the lists.
  const void* list_lock(channel_side which) const noexcept {
    return which == channel_side::sender ? &receiving_ : &sending_;
  }
  void lock_list(channel_side which) noexcept { lock(other_side(which)); }
  void unlock_list(channel_side which) noexcept { unlock_as_is(other_side(which)); }
  bool must_wait(channel_side which) const noexcept {
    // relaxed: under the lock. Whoever closes it lets go of this side before the other, perhaps.
    const bool is_over = (other_side(which).place.load(base::relaxed) & closed) != 0;
    return !is_over && !seems_ready(which);
  }
  void push(channel_side which, node& mine) noexcept {
    side& at = other_side(which);
    at.waits.push(mine);
    at.limit = 0;
  }
  // Takes the node of a claimed group out, if it is still there.
  void withdraw(channel_side which, node& mine) noexcept;

 private:
  // Each side says in its own way that it is closed: two that are differ, as positions do.
  enum : std::uint64_t { busy = 1, no_more_sent = 2, no_more_there = 4, closed = 6, one = 8 };

  // Before the cells of a chunk, and padded to their alignment.
  struct chunk {
    chunk* next;
  };

  struct alignas(base::false_sharing_bytes) side {
    word place{0};
    // Guarded by `busy` in `place`.
    std::uint64_t limit = 0;
    std::byte* cells = nullptr;   // of the chunk that the position is in
    std::uint64_t chunk_end = 0;  // the position after that chunk
    channel_queue<Ground> waits;  // of the other side
  };

  static constexpr std::uint64_t position_in(std::uint64_t word) noexcept { return word / one; }

  // Who waits is in a list on the other side.
  side& other_side(channel_side which) noexcept {
    return which == channel_side::sender ? receiving_ : sending_;
  }
  const side& other_side(channel_side which) const noexcept {
    return which == channel_side::sender ? receiving_ : sending_;
  }
  [[gnu::always_inline]] void* cell(const side& at, const element& kind,
                                    std::uint64_t position) const noexcept {
    return at.cells + (position & mask_) * kind.bytes;
  }
  [[gnu::always_inline]] static bool try_lock(side& at, std::uint64_t& seen) noexcept {
    // acquire: what the last holder left
    return (seen & busy) == 0 &&
           at.place.compare_exchange_weak(seen, seen | busy, base::acquire, base::relaxed);
  }
  static void lock(side& at) noexcept;
  static void unlock_as_is(side& at, std::uint64_t more = 0) noexcept;

  // All four are entered counted as a lock, and leave uncounted.
  TREADLE_INDIRECT_RETURN channel_status send_slowly(const element& kind, void* value,
                                                     channel_patience patience) noexcept;
  TREADLE_INDIRECT_RETURN channel_status send_locked(const element& kind, void* value,
                                                     channel_patience patience) noexcept;
  TREADLE_INDIRECT_RETURN channel_status receive_slowly(const element& kind, void* to,
                                                        channel_patience patience) noexcept;
  TREADLE_INDIRECT_RETURN channel_status receive_locked(const element& kind, void* to,
                                                        channel_patience patience) noexcept;
  enum class step { ended, must_wait, needs_chunk };
  step put(const element& kind, void* value, chunk*& fresh, channel_status& result) noexcept;
  step take(const element& kind, void* to, channel_status& result) noexcept;
  bool wait(channel_side which, void* place, channel_patience patience,
            channel_status& result) noexcept;
  bool enlist(channel_side which, node& mine) noexcept;
  step make_room(chunk*& fresh) noexcept;
  chunk* next_chunk() noexcept;
  chunk* make_chunk(const element& kind) noexcept;
  void free_chunk(chunk* which) noexcept;
  void destroyed_in_use() const noexcept;

  // Fixed after open().
  std::uint64_t capacity_ = 0;
  std::uint64_t mask_ = 0;  // cells of a chunk or of the ring, less one
  std::size_t alignment_ = 0;
  std::size_t offset_ = 0;  // from a chunk to its cells
  side sending_;
  side receiving_;
  // A chunk that was read to its end: put here by receivers, under their lock, when there is none,
  // and taken by senders under theirs.
  typename Ground::template flag<chunk*> spare_{nullptr};
};

}  // namespace treadle::sync
