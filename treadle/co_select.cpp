#include "treadle/co_select.hpp"

#include <coroutine>
#include <optional>
#include <utility>

#include "treadle/co_results.hpp"
#include "treadle/select_descriptors.hpp"
#include "treadle/task/suspension.hpp"

namespace treadle::co::detail {
namespace {

using sync::select_outcome;

// co_await gives the record that the task waits with.
struct own_record {
  core::thread* record = nullptr;

  static bool await_ready() noexcept { return false; }
  template <tasks::runs_as_task Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    record = &caller.promise().own_line().record();
    return false;
  }
  core::thread& await_resume() const noexcept { return *record; }
};

// Who ends it claims the group first (sync/raw_select.hpp): a sender or receiver, the clock or the
// stop, or the task itself when it finds that an event has come. A claim by somebody else is
// followed by his grant, and then by his wake-up: until that the task waits on.
class select_wait : public tasks::suspension<select_wait>, public tasks::limits<select_wait> {
 public:
  static constexpr core::wait_reason why = core::wait_reason::channel;

  enum class end : std::uint8_t { look_again, granted, gave_up };

  // `beside` may be null.
  select_wait(sync::raw_select& channels, const treadle::detail::watched_descriptors* beside,
              base::wait_limit within) noexcept
      : tasks::limits<select_wait>(std::move(within)), channels_(channels), beside_(beside) {}
  select_wait(const select_wait&) = delete;
  select_wait& operator=(const select_wait&) = delete;

  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    attach(caller);
    tasks::engine& home = caller.promise().own_line().home();
    mine_.emplace(self());
    listed_ = channels_.enlist(*mine_);
    if (!listed_) return false;
    arm(home);
    if (is_over()) return false;
    park();
    return true;
  }
  end await_resume() noexcept {
    disarm();
    if (!listed_) return end::look_again;
    channels_.withdraw(*mine_);
    if (mine_->self.is_granted()) return end::granted;
    return gave_up() ? end::gave_up : end::look_again;
  }
  // When it was granted.
  sync::select_outcome outcome() noexcept { return sync::raw_select::outcome_of(*mine_); }

  bool is_over() noexcept {
    if (mine_->self.is_granted() || gave_up()) return true;
    return beside_ != nullptr && beside_->has_event() && withdraw();
  }
  core::thread* who() const noexcept { return &self(); }
  bool withdraw() noexcept { return mine_->claim(sync::raw_select::group::itself); }

 private:
  sync::raw_select& channels_;
  const treadle::detail::watched_descriptors* const beside_;
  bool listed_ = false;
  std::optional<sync::raw_select::group> mine_;
};

// Until granted, or an event of `beside`, or the limit.
task<select_wait::end> wait_once(sync::raw_select& channels,
                                 const treadle::detail::watched_descriptors* beside,
                                 const wait_limit& limit, select_outcome& outcome) {
  select_wait wait(channels, beside, limit);
  const select_wait::end how = co_await wait;
  if (how == select_wait::end::granted) outcome = wait.outcome();
  co_return how;
}

task<select_outcome> select_channels(sync::raw_select& channels, const wait_limit& limit) {
  for (;;) {
    select_outcome found = channels.poll();
    if (found.index != select_outcome::nothing) co_return found;
    const auto how = co_await wait_once(channels, nullptr, limit, found);
    if (how != select_wait::end::look_again) co_return found;
  }
}

task<select_outcome> select_all(sync::raw_select& channels, pollfd* descriptors,
                                std::uint32_t count, core::poller& events,
                                const wait_limit& limit) {
  core::thread& self = co_await own_record();
  treadle::detail::watched_descriptors watched(self, &events, channels, descriptors, count);
  for (bool expired = false;;) {
    watched.enlist();
    // Now that we are in the lists: what comes later ends a wait.
    select_outcome found = watched.look();
    if (found.index != select_outcome::nothing || expired) co_return found;
    const auto how = co_await wait_once(channels, &watched, limit, found);
    if (how == select_wait::end::granted) co_return found;
    expired = how == select_wait::end::gave_up;
  }
}

}  // namespace

task<select_outcome> select_among(sync::raw_select& channels, pollfd* descriptors,
                                  std::uint32_t count, wait_limit limit, bool at_once) {
  if (count == 0) co_return co_await select_channels(channels, limit);
  if (at_once) {
    co_return treadle::detail::select_with_descriptors(channels, descriptors, count, nullptr, true);
  }
  core::poller* const events = core::current_thread().scheduler->events;
  if (events != nullptr) {
    co_return co_await select_all(channels, descriptors, count, *events, limit);
  }
  co_return co_await run([&] {
    return treadle::detail::select_with_descriptors(channels, descriptors, count, &limit, false);
  });
}

}  // namespace treadle::co::detail
