// The rare paths of basic_future_state. Included by future_state.cpp and by the tests that explore
// them.
#pragma once

#include "treadle/future_state.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::detail {

template <class Ground>
void basic_future_state<Ground>::retrieve() {
  // relaxed: orders nothing, counts only
  if (retrieved_.exchange(true, base::relaxed)) {
    throw_future_error(std::future_errc::future_already_retrieved);
  }
}

template <class Ground>
void basic_future_state<Ground>::claim() {
  for (;;) {
    std::uint32_t seen = open;
    // acquire: pairs with a provider whose value could not be made
    if (claim_.compare_exchange_strong(seen, storing, base::acquire, base::acquire)) return;
    if (seen == claimed) throw_future_error(std::future_errc::promise_already_satisfied);
    Ground::give_way();
  }
}

template <class Ground>
void basic_future_state<Ground>::claim_for_call() {
  std::uint32_t seen = open;
  // acquire: as in claim()
  if (!claim_.compare_exchange_strong(seen, claimed, base::acquire, base::relaxed)) {
    throw_future_error(std::future_errc::promise_already_satisfied);
  }
}

template <class Ground>
void basic_future_state<Ground>::abandon() noexcept {
  // relaxed, both: the provider is ours, and a future is got from it by us or before us
  if (claim_.load(base::relaxed) == open && retrieved_.load(base::relaxed)) {
    set_exception(std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
  }
}

template <class Ground>
std::unique_ptr<typename basic_future_state<Ground>::published_note>
basic_future_state<Ground>::make_note() {
  make_room_for_exit_notes();
  return std::make_unique<published_note>();
}

template <class Ground>
void basic_future_state<Ground>::add_note(std::unique_ptr<published_note> note) noexcept {
  share();
  note->state = this;
  note->run = [](exit_note& self) noexcept {
    const std::unique_ptr<published_note> mine(static_cast<published_note*>(&self));
    mine->state->publish();
    mine->state->release();
  };
  add_exit_note(*note.release());
}

}  // namespace treadle::detail
