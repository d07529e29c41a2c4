#include "treadle/future_state.hpp"

#include "treadle/sched/worker.hpp"

namespace treadle::detail {

void throw_future_error(std::future_errc why) { throw std::future_error(why); }

void future_state::retrieve() {
  // relaxed: orders nothing, counts only
  if (retrieved_.exchange(true, base::relaxed)) {
    throw_future_error(std::future_errc::future_already_retrieved);
  }
}

void future_state::claim() {
  for (;;) {
    std::uint32_t seen = open;
    // acquire: pairs with a provider whose value could not be made
    if (claim_.compare_exchange_strong(seen, storing, base::acquire, base::acquire)) return;
    if (seen == claimed) throw_future_error(std::future_errc::promise_already_satisfied);
    core::current_thread().scheduler->yield();
  }
}

void future_state::claim_for_call() {
  std::uint32_t seen = open;
  // acquire: as in claim()
  if (!claim_.compare_exchange_strong(seen, claimed, base::acquire, base::relaxed)) {
    throw_future_error(std::future_errc::promise_already_satisfied);
  }
}

void future_state::abandon() noexcept {
  // relaxed, both: the provider is ours, and a future is got from it by us or before us
  if (claim_.load(base::relaxed) == open && retrieved_.load(base::relaxed)) {
    set_exception(std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
  }
}

std::unique_ptr<future_state::published_note> future_state::make_note() {
  make_room_for_exit_notes();
  return std::make_unique<published_note>();
}

void future_state::add_note(std::unique_ptr<published_note> note) noexcept {
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
