// Selects with descriptors. Channels grant the thread, the io room wakes it for descriptors, and
// poll(2), without waiting, says which are ready: so nothing is used up by being looked at, and
// only the channels need be claimed. Each round: look, put nodes everywhere, wait, take those in
// the channels out. A thread without a poller waits in poll(2), beside an eventfd through which
// everybody reaches it; a channel's grant rings there before it is published, so that nobody
// writes when the eventfd may be somebody else's already.
#include "treadle/select.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "treadle/io/kernel_wait.hpp"
#include "treadle/io/park.hpp"
#include "treadle/io/waiting.hpp"

namespace treadle::detail {
namespace {

using sync::raw_select;
using sync::select_outcome;

void ring(int eventfd) noexcept {
  const int saved = io::own_errno();
  const std::uint64_t one = 1;
  const ssize_t written = ::write(eventfd, &one, sizeof(one));
  static_cast<void>(written);  // cannot fail: the counter is far from full
  io::own_errno() = saved;
}

struct descriptor_group : raw_select::group {
  descriptor_group(core::thread& waiting, int number) noexcept
      : raw_select::group(waiting, number >= 0 ? &ring_and_grant : nullptr), eventfd(number) {}

  static void ring_and_grant(raw_select::group& claimed) noexcept {
    ring(static_cast<descriptor_group&>(claimed).eventfd);
    // Last: pairs with is_granted(). The node may vanish now.
    claimed.self.granted.store(true, base::release);
  }

  const int eventfd;
};

class descriptor_select {
 public:
  descriptor_select(raw_select& channels, pollfd* asked, std::uint32_t count)
      : channels_(channels), asked_(asked), count_(count), entries_(count), beside_(count + 1) {}
  ~descriptor_select() {
    for (entry& one : entries_) {
      if (one.queued) one.target.which->give_up(one.node);
    }
  }
  descriptor_select(const descriptor_select&) = delete;
  descriptor_select& operator=(const descriptor_select&) = delete;

  select_outcome run(const wait_limit* limit, bool at_once) {
    const select_outcome found = look();
    if (at_once || found.index != select_outcome::nothing) return found;
    if (self_.scheduler->events == nullptr) check(wake_.open());
    if (limit == nullptr || !limit->stop().stop_possible()) return wait(limit);
    const auto end_it = [this, number = wake_.number()]() noexcept {
      stopped_.store(true, base::release);  // pairs with wait()
      number >= 0 ? ring(number) : core::scheduler_port::unpark(self_);
    };
    const std::stop_callback watch(limit->stop(), end_it);
    return wait(limit);
  }

 private:
  struct entry {
    io::call_target target;
    io::descriptor_waiter node;
    bool queued = false;
  };

  static void check(int error) {
    if (error != 0) throw std::system_error(error, std::generic_category(), "treadle::select");
  }

  select_outcome wait(const wait_limit* limit) {
    const base::deadline until = limit == nullptr ? base::deadline::never() : limit->until();
    for (bool expired = false;;) {
      enlist_descriptors();
      // Now that we are in the lists: what comes later ends a wait.
      const select_outcome found = look();
      if (found.index != select_outcome::nothing) return found;
      if (expired || stopped_.load(base::acquire)) return {};  // pairs with run()
      descriptor_group mine(self_, wake_.number());
      if (!channels_.enlist(mine)) continue;
      const int error = sleep(until);  // nothing may throw while our nodes are in the lists
      const bool was_granted = !mine.claim(raw_select::itself);
      if (was_granted) wait_for_grant(mine);
      channels_.withdraw(mine);
      if (was_granted) return raw_select::outcome_of(mine);
      expired = error == ETIMEDOUT;
      if (!expired) check(error);
    }
  }

  void wait_for_grant(descriptor_group& mine) noexcept {
    if (mine.wake == nullptr) {
      static_cast<void>(mine.self.wait(core::wait_reason::channel, base::deadline::never()));
      return;
    }
    base::spin_pause pause;
    while (!mine.self.is_granted()) pause.once();
  }

  // Until something may have happened: 0, ETIMEDOUT or poll's errno.
  int sleep(base::deadline until) noexcept {
    if (wake_.number() < 0) {
      const core::wake end = self_.scheduler->park(core::wait_reason::io, until);
      return end == core::wake::timed_out ? ETIMEDOUT : 0;
    }
    std::copy_n(asked_, count_, beside_.begin());
    beside_[count_] = {wake_.number(), POLLIN, 0};
    const int result = io::poll_until(beside_.data(), beside_.size(), until);
    if (result <= 0) return result == 0 ? ETIMEDOUT : -result;
    if (beside_[count_].revents != 0) {
      std::uint64_t rung = 0;
      const ssize_t drained = ::read(wake_.number(), &rung, sizeof(rung));
      static_cast<void>(drained);  // cannot fail: it is readable
      // Whoever ends a descriptor's wait rings before he says so, under this lock: now he has.
      for (entry& one : entries_) {
        if (!one.queued) continue;
        const base::guard said(one.target.which->lock);
      }
    }
    return 0;
  }

  void enlist_descriptors() {
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
      one.node.who = &self_;
      one.node.wanted = io::descriptor::readable | io::descriptor::writable;
      one.node.wake_descriptor = wake_.number();
      const int error =
          io::enlist(one.target, one.node, wake_.number() >= 0 ? nullptr : self_.scheduler->events);
      if (error == EBADF) continue;  // closed this moment
      check(error);
      one.queued = true;
    }
  }

  // One of all that is ready, each as likely.
  select_outcome look() {
    std::uint32_t ready = look_at_descriptors();
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

  std::uint32_t look_at_descriptors() {
    while (::poll(asked_, count_, 0) < 0) {
      if (io::own_errno() != EINTR) check(io::own_errno());
    }
    std::uint32_t ready = 0;
    for (std::uint32_t i = 0; i < count_; ++i) {
      const entry& one = entries_[i];
      // One that was closed meanwhile may be another descriptor now. acquire: as above
      if (one.queued && one.node.outcome.load(base::acquire) == io::wait_outcome::closed) {
        asked_[i].revents = POLLNVAL;
      }
      if (asked_[i].revents != 0) ++ready;
    }
    return ready;
  }

  core::thread& self_ = core::current_thread();
  raw_select& channels_;
  pollfd* const asked_;
  const std::uint32_t count_;
  std::vector<entry> entries_;
  std::vector<pollfd> beside_;  // with the eventfd
  io::lent_eventfd wake_;
  base::atomic<bool> stopped_{false};
};

}  // namespace

select_outcome select_with_descriptors(raw_select& channels, pollfd* descriptors,
                                       std::uint32_t count, const wait_limit* limit, bool at_once) {
  return descriptor_select(channels, descriptors, count).run(limit, at_once);
}

}  // namespace treadle::detail
