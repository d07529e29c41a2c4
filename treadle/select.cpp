// Selects with descriptors, by threads. A thread without a poller waits in poll(2), beside an
// eventfd through which everybody reaches it; a channel's grant rings there before it is published,
// so that nobody writes when the eventfd may be somebody else's already.
#include "treadle/select.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "treadle/io/kernel_wait.hpp"
#include "treadle/io/park.hpp"
#include "treadle/select_descriptors.hpp"

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
      : channels_(channels),
        asked_(asked),
        count_(count),
        watched_(self_, self_.scheduler->events, channels, asked, count),
        beside_(count + 1) {}

  select_outcome run(const wait_limit* limit, bool at_once) {
    const select_outcome found = watched_.look();
    if (at_once || found.index != select_outcome::nothing) return found;
    if (self_.scheduler->events == nullptr) check_select(wake_.open());
    watched_.tell(wake_.number());
    if (limit == nullptr || !limit->stop().stop_possible()) return wait(limit);
    const auto end_it = [this, number = wake_.number()]() noexcept {
      stopped_.store(true, base::release);  // pairs with wait()
      number >= 0 ? ring(number) : core::scheduler_port::unpark(self_);
    };
    const std::stop_callback watch(limit->stop(), end_it);
    return wait(limit);
  }

 private:
  select_outcome wait(const wait_limit* limit) {
    const base::deadline until = limit == nullptr ? base::deadline::never() : limit->until();
    for (bool expired = false;;) {
      watched_.enlist();
      // Now that we are in the lists: what comes later ends a wait.
      const select_outcome found = watched_.look();
      if (found.index != select_outcome::nothing) return found;
      if (expired || stopped_.load(base::acquire)) return {};  // pairs with run()
      descriptor_group mine(self_, wake_.number());
      if (!channels_.enlist(mine)) continue;
      const int error = sleep(until);  // nothing may throw while our nodes are in the lists
      const bool was_granted = !mine.claim(raw_select::group::itself);
      if (was_granted) wait_for_grant(mine);
      channels_.withdraw(mine);
      if (was_granted) return raw_select::outcome_of(mine);
      expired = error == ETIMEDOUT;
      if (!expired) check_select(error);
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
      watched_.wait_for_tellers();
    }
    return 0;
  }

  core::thread& self_ = core::current_thread();
  raw_select& channels_;
  pollfd* const asked_;
  const std::uint32_t count_;
  io::lent_eventfd wake_;  // outlives those who may ring it
  watched_descriptors watched_;
  std::vector<pollfd> beside_;  // with the eventfd
  base::atomic<bool> stopped_{false};
};

}  // namespace

select_outcome select_with_descriptors(raw_select& channels, pollfd* descriptors,
                                       std::uint32_t count, const wait_limit* limit, bool at_once) {
  return descriptor_select(channels, descriptors, count).run(limit, at_once);
}

}  // namespace treadle::detail
