#include "treadle/select_descriptors.hpp"

#include <cerrno>
#include <system_error>

#include "treadle/io/park.hpp"

namespace treadle::detail {

using sync::select_outcome;

void check_select(int error) {
  if (error != 0) throw std::system_error(error, std::generic_category(), "treadle::select");
}

watched_descriptors::~watched_descriptors() {
  for (entry& one : entries_) {
    if (one.queued) one.target.which->give_up(one.node);
  }
}

void watched_descriptors::enlist() {
  for (std::uint32_t i = 0; i < count_; ++i) {
    entry& one = entries_[i];
    if (one.queued) {
      // acquire: pairs with whoever ended it
      const io::wait_outcome outcome = one.node.outcome.load(base::acquire);
      if (outcome == io::wait_outcome::waiting || outcome == io::wait_outcome::closed) continue;
      one.queued = false;
    } else if (one.target.open(asked_[i].fd) != 0) {
      continue;  // poll(2) knows what to say
    }
    one.node.who = &waiter_;
    one.node.wanted = io::descriptor::readable | io::descriptor::writable;
    one.node.wake_descriptor = eventfd_;
    check_select(io::enlist(one.target, one.node, events_));
    one.queued = true;
  }
}

select_outcome watched_descriptors::look() {
  const std::uint32_t ready = ask();
  const auto others = static_cast<std::uint32_t>(__builtin_popcountll(channels_.ready_now()));
  const bool channels_first =
      others != 0 && core::current_worker().random_below(ready + others) < others;
  if (channels_first || ready == 0) {
    const select_outcome found = channels_.poll();
    if (found.index != select_outcome::nothing || ready == 0) return found;
  }
  std::uint32_t skip = core::current_worker().random_below(ready);
  for (std::uint32_t i = 0;; ++i) {
    if (asked_[i].revents != 0 && skip-- == 0) {
      return {channels_.count() + i, channel_status::done};
    }
  }
}

std::uint32_t watched_descriptors::ask() {
  const ssize_t asked = io::poll_now(asked_, count_);
  if (asked < 0) check_select(static_cast<int>(-asked));
  std::uint32_t ready = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    const entry& one = entries_[i];
    // One that was closed meanwhile may be another descriptor now. acquire: as in enlist()
    if (one.queued && one.node.outcome.load(base::acquire) == io::wait_outcome::closed) {
      asked_[i].revents = POLLNVAL;
    }
    if (asked_[i].revents != 0) ++ready;
  }
  return ready;
}

bool watched_descriptors::has_event() const noexcept {
  for (const entry& one : entries_) {
    // acquire: as in enlist()
    if (one.queued && one.node.outcome.load(base::acquire) != io::wait_outcome::waiting) {
      return true;
    }
  }
  return false;
}

void watched_descriptors::wait_for_tellers() noexcept {
  for (entry& one : entries_) {
    if (!one.queued) continue;
    const base::guard said(one.target.which->lock);
  }
}

}  // namespace treadle::detail
