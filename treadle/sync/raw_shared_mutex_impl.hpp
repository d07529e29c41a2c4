// The rare paths of basic_shared_mutex. Included by raw_shared_mutex.cpp and by the test that
// explores them.
#pragma once

#include "treadle/base/check.hpp"
#include "treadle/sync/raw_shared_mutex.hpp"

namespace treadle::sync {

// Whoever destroys has synchronised with all users already.
template <class Ground>
bool basic_shared_mutex<Ground>::is_in_use() const noexcept {
  std::int64_t counted = readers_;
  for (const stripe& each : stripes_) {
    const std::uint64_t seen = each.readers.load(base::relaxed);  // relaxed: see above
    counted += static_cast<std::int64_t>(readers_in(seen));
  }
  if (way_ == way::column) counted += Ground::sum_of(column_.load(base::relaxed));
  return counted != 0 || writer_ != nullptr || !waiting_readers_.empty() ||
         !waiting_writers_.empty();
}

template <class Ground>
void basic_shared_mutex<Ground>::drop_column() noexcept {
  Ground::drop_count(column_.load(base::relaxed));  // relaxed: see above
}

template <class Ground>
void basic_shared_mutex<Ground>::destroyed_in_use() const noexcept {
  if (base::process_is_ending()) return;
  fail_misuse("~", "it is locked, or threads wait for it");
}

// "shared_timed_mutex::lock: ..."; the call "~" is the destructor.
template <class Ground>
void basic_shared_mutex<Ground>::fail_misuse(std::string_view call,
                                             std::string_view text) const noexcept {
  const std::string_view own =
      kind_ == shared_mutex_kind::plain ? "shared_mutex" : "shared_timed_mutex";
  char said[64];  // the longest: the longest name, two colons and the longest call, or it twice
  std::size_t size = 0;
  const auto add = [&](std::string_view part) {
    for (const char each : part) said[size++] = each;
  };
  add(own);
  add("::");
  add(call);
  if (call == "~") add(own);
  base::fail_misuse({said, size}, text);
}

template <class Ground>
void basic_shared_mutex<Ground>::close() noexcept {
  if (way_ == way::none) return;
  if (way_ == way::column) {
    const auto column = column_.load(base::relaxed);  // relaxed: under the lock
    column_.store(0, base::relaxed);                  // relaxed: the fence is what counts
    readers_ += Ground::end_count(column);
    if (readers_ < 0) fail_misuse("unlock_shared", "nobody holds it shared");
  } else {
    for (stripe& each : stripes_) {
      std::uint64_t seen = each.readers.load(base::relaxed);  // relaxed: validated by the CAS
      // acquire: pairs with leave()
      while (!each.readers.compare_exchange_weak(seen, shut, base::acquire, base::relaxed)) {
      }
      readers_ += static_cast<std::int64_t>(readers_in(seen));
    }
  }
  way_ = way::none;
  reads_ = 0;
}

// Nobody writes or waits to. Who came while it was closed is counted in the caller's stripe now.
template <class Ground>
void basic_shared_mutex<Ground>::open() noexcept {
  word& own = mine();
  for (stripe& each : stripes_) {
    // release: pairs with enter()
    each.readers.store(&each.readers == &own ? static_cast<std::uint64_t>(readers_) : 0,
                       base::release);
  }
  readers_ = 0;
  way_ = way::stripes;
}

// Many have come by the caller's stripe: a column pays. If there is none, they begin again.
template <class Ground>
void basic_shared_mutex<Ground>::share_full(word& own) noexcept {
  if (const auto column = Ground::lend_column(); column != 0) {
    close();
    ++readers_;
    way_ = way::column;
    column_.store(column, base::release);  // pairs with count_here(), as enter() with open()
    return;
  }
  std::uint64_t seen = own.load(base::relaxed);  // relaxed: validated by the CAS
  // acquire: as enter()
  while (!own.compare_exchange_weak(seen, readers_in(seen) + one, base::acquire, base::relaxed)) {
  }
}

// As a reader, if one may enter now.
template <class Ground>
bool basic_shared_mutex<Ground>::share() noexcept {
  if (writer_ != nullptr || !waiting_writers_.empty()) return false;
  if (way_ == way::stripes) {
    word& own = mine();
    if (!enter(own)) share_full(own);
    return true;
  }
  ++readers_;
  if (way_ == way::none && ++reads_ >= Ground::reads_before_opening) open();
  return true;
}

// All readers that wait, counted and for the caller to grant.
template <class Ground>
waiter* basic_shared_mutex<Ground>::admit_readers() noexcept {
  waiter* const all = waiting_readers_.pop_all();
  for (const waiter* each = all; each != nullptr; each = each->next) ++readers_;
  return all;
}

// The next writer, its own already and for the caller to grant; null when there is none.
template <class Ground>
waiter* basic_shared_mutex<Ground>::admit_writer() noexcept {
  waiter* const next = waiting_writers_.pop_front();
  if (next != nullptr) {
    writer_ = next->who;
    next->next = nullptr;
  }
  return next;
}

template <class Ground>
bool basic_shared_mutex<Ground>::lock_until(base::deadline until) noexcept {
  return lock_slowly(until, nullptr);
}

template <class Ground>
bool basic_shared_mutex<Ground>::lock_within(const base::wait_limit& limit) noexcept {
  if (!limit.stop().stop_possible()) return lock_slowly(limit.until(), nullptr);
  const alarm stop(Ground::self(), limit.stop());
  return lock_slowly(limit.until(), &stop);
}

template <class Ground>
bool basic_shared_mutex<Ground>::lock_shared_within(const base::wait_limit& limit) noexcept {
  if (come_in()) return true;
  if (!limit.stop().stop_possible()) return share_slowly(limit.until(), nullptr);
  const alarm stop(Ground::self(), limit.stop());
  return share_slowly(limit.until(), &stop);
}

template <class Ground>
bool basic_shared_mutex<Ground>::lock_or_enlist(waiter& node, bool limited) noexcept {
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  if (writer_ == node.who) {
    fail_misuse(limited ? "try_lock (with a limit)" : "lock",
                "the calling thread holds it already");
  }
  close();
  if (is_free()) {
    writer_ = node.who;
    return true;
  }
  waiting_writers_.push_back(node);
  return false;
}

template <class Ground>
bool basic_shared_mutex<Ground>::lock_slowly(base::deadline until, const alarm* stop) noexcept {
  waiter node(Ground::self());
  if (lock_or_enlist(node, stop != nullptr || !until.is_never())) return true;
  return Ground::wait(node, until, stop) || !take_back(node, true);
}

template <class Ground>
bool basic_shared_mutex<Ground>::try_lock() noexcept {
  return try_lock_as(Ground::self());
}

template <class Ground>
bool basic_shared_mutex<Ground>::try_lock_as(core::thread& self) noexcept {
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  if (writer_ != nullptr) return false;
  const bool was_open = way_ != way::none;
  if (way_ == way::stripes) {
    for (const stripe& each : stripes_) {
      if (readers_in(each.readers.load(base::relaxed)) != 0) return false;  // relaxed: only a look
    }
  }
  // When nobody came or went meanwhile, or somebody was there, it is not 0 for a reason.
  if (way_ == way::column && readers_ + Ground::sum_of(column_.load(base::relaxed)) != 0) {
    return false;  // relaxed: under the lock
  }
  close();
  if (is_free()) {
    writer_ = &self;
    return true;
  }
  if (was_open) open();
  return false;
}

template <class Ground>
void basic_shared_mutex<Ground>::unlock() noexcept {
  unlock_as(Ground::self());
}

template <class Ground>
void basic_shared_mutex<Ground>::unlock_as(core::thread& self) noexcept {
  waiter* next = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(list_lock_);
    if (writer_ != &self) fail_misuse("unlock", "the calling thread does not hold it");
    writer_ = nullptr;
    reads_ = 0;
    next = admit_readers();
    if (next == nullptr) next = admit_writer();
  }
  wait_list::grant_all(next, [](waiter& node) noexcept { Ground::grant(node); });
}

template <class Ground>
bool basic_shared_mutex<Ground>::share_or_enlist(waiter& node) noexcept {
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  if (share()) return true;
  if (writer_ == node.who) fail_misuse("lock_shared", "the calling thread holds it already");
  waiting_readers_.push_back(node);
  return false;
}

template <class Ground>
bool basic_shared_mutex<Ground>::share_slowly(base::deadline until, const alarm* stop) noexcept {
  waiter node(Ground::self());
  if (share_or_enlist(node)) return true;
  return Ground::wait(node, until, stop) || !take_back(node, false);
}

template <class Ground>
bool basic_shared_mutex<Ground>::try_share_slowly() noexcept {
  const base::guard<typename Ground::list_lock> hold(list_lock_);
  return share();
}

// Our stripe is shut, or the reader that it counted has left by it while we went elsewhere.
template <class Ground>
void basic_shared_mutex<Ground>::unlock_shared_slowly() noexcept {
  for (stripe& each : stripes_) {
    // The last touch: another reader may leave by its stripe at once, and destroy the mutex.
    if (leave(each.readers)) return;
  }
  waiter* next = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(list_lock_);
    // They may have moved while we looked: only when all are shut the count is sure. They stay
    // shut, so that who leaves after us waits for list_lock_. A column counts also below 0.
    if (way_ == way::stripes) close();
    if (way_ == way::none && readers_ == 0) fail_misuse("unlock_shared", "nobody holds it shared");
    --readers_;
    if (way_ == way::none && readers_ == 0) next = admit_writer();
  }
  if (next != nullptr) Ground::grant(*next);
}

template <class Ground>
bool basic_shared_mutex<Ground>::take_out(waiter& node, bool writes) noexcept {
  waiter* admitted = nullptr;
  {
    const base::guard<typename Ground::list_lock> hold(list_lock_);
    if (node.popped) return false;
    if (writes) {
      waiting_writers_.remove(node);
      // Readers that came after us wait for nobody any more.
      if (waiting_writers_.empty() && writer_ == nullptr) admitted = admit_readers();
    } else {
      waiting_readers_.remove(node);
    }
  }
  wait_list::grant_all(admitted, [](waiter& each) noexcept { Ground::grant(each); });
  return true;
}

// After a time-out or a stop: true when the node has left, false when it was granted after all.
template <class Ground>
bool basic_shared_mutex<Ground>::take_back(waiter& node, bool writes) noexcept {
  if (take_out(node, writes)) return true;
  // The grant is on its way.
  Ground::wait(node, base::deadline::never());
  return false;
}

}  // namespace treadle::sync
