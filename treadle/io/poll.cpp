// poll on one or several descriptors, and the waits that only wait.
//
// The kernel's poll(2), without waiting, gives the answer; the descriptors' waiter lists only say
// when to ask again. So an edge-triggered poller serves a level-triggered call.
#include <unistd.h>

#include <memory>
#include <new>

#include "treadle/io/calls.hpp"
#include "treadle/io/cancellation.hpp"
#include "treadle/io/kernel_wait.hpp"
#include "treadle/io/single_call.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {
namespace {

// Stack for few, heap for many.
template <class T, std::size_t Few>
class some_of {
 public:
  explicit some_of(std::size_t count) noexcept
      : many_(count > Few ? new (std::nothrow) T[count] : nullptr),
        all_(count > Few ? many_.get() : few_) {}
  bool failed() const noexcept { return all_ == nullptr; }
  T& operator[](std::size_t index) noexcept { return all_[index]; }
  T* data() noexcept { return all_; }

 private:
  T few_[Few];
  std::unique_ptr<T[]> many_;
  T* all_;
};

constexpr short reading = POLLIN | POLLRDNORM;

// What a ring has received counts: also what has not been told yet. For the last look, as who goes
// on waiting is told.
void settle(const pollfd* descriptors, nfds_t count) noexcept {
  for (nfds_t i = 0; i < count; ++i) {
    call_target target;
    if ((descriptors[i].events & reading) == 0 || target.open(descriptors[i].fd) != 0) continue;
    // relaxed: said before the call
    if (target.which->receives_ahead.load(base::relaxed)) stop_receiving(target);
  }
}

// Guess: a thread seldom polls more; the nodes lie on its stack.
constexpr std::size_t few = 4;

struct poll_entry {
  call_target target;
  descriptor_waiter node;
  bool queued = false;
};

class poll_group {
 public:
  poll_group(pollfd* asked, nfds_t count) noexcept
      : asked_(asked), count_(count), entries_(count), own_(count + 1) {}
  ~poll_group() {
    if (failed()) return;
    for (nfds_t i = 0; i < count_; ++i) {
      if (entries_[i].queued) entries_[i].target.which->give_up(entries_[i].node);
    }
  }
  poll_group(const poll_group&) = delete;
  poll_group& operator=(const poll_group&) = delete;

  bool failed() const noexcept { return entries_.failed() || own_.failed(); }

  // As poll(2), but -errno.
  int run(const wait_limit& limit) noexcept {
    core::thread& self = core::current_thread();
    core::poller* events = self.scheduler->events;
    if (events == nullptr) {
      if (const int error = wake_.open()) return -error;
    }
    if (!may_be_stopped(limit)) return wait(self, wake_.number(), limit);
    const auto end_it = [&, wake_number = wake_.number()]() noexcept {
      stopped_.store(true, base::release);  // pairs with wait()
      if (wake_number >= 0) {
        wake_kernel_thread(wake_number);
      } else {
        core::scheduler_port::unpark(self);
      }
    };
    const on_stop watch(limit, end_it);
    return wait(self, wake_.number(), limit);
  }

 private:
  int wait(core::thread& self, int wake, const wait_limit& limit) noexcept {
    for (bool expired = false;;) {
      if (stopped_.load(base::acquire)) return -ECANCELED;  // pairs with run()
      if (const int error = enlist_all(self, wake)) return -error;
      if (expired) settle(asked_, count_);
      // After we are in the lists: what comes later ends a wait.
      if (const int found = look()) return found;
      if (expired) return 0;
      if (wake >= 0) {
        own_[count_] = pollfd{wake, POLLIN, 0};
        for (nfds_t i = 0; i < count_; ++i) own_[i] = asked_[i];
        const int result = poll_until(own_.data(), count_ + 1, limit.until());
        if (result < 0) return result;
        expired = result == 0;
        if (own_[count_].revents != 0) take_ring(wake);
      } else {
        expired =
            self.scheduler->park(core::wait_reason::io, limit.until()) == core::wake::timed_out;
      }
    }
  }

  int enlist_all(core::thread& self, int wake) noexcept {
    for (nfds_t i = 0; i < count_; ++i) {
      poll_entry& one = entries_[i];
      if (one.queued) {
        // acquire: pairs with whoever ended it
        const wait_outcome outcome = one.node.outcome.load(base::acquire);
        if (outcome == wait_outcome::waiting || outcome == wait_outcome::closed) continue;
        one.queued = false;
      } else if (asked_[i].fd < 0 || one.target.open(asked_[i].fd) != 0) {
        continue;  // poll(2) knows what to say
      }
      one.node.who = &self;
      one.node.wanted = descriptor::readable | descriptor::writable;
      one.node.wake_descriptor = wake;
      const int error = enlist(one.target, one.node, wake >= 0 ? nullptr : self.scheduler->events);
      if (error != 0) return error;
      one.queued = true;
    }
    return 0;
  }

  int look() noexcept {
    ssize_t found = poll_now(asked_, count_);
    if (found < 0) return static_cast<int>(found);
    // One that was closed meanwhile may be another descriptor now.
    for (nfds_t i = 0; i < count_; ++i) {
      const poll_entry& one = entries_[i];
      // acquire: pairs with whoever ended it
      if (!one.queued || one.node.outcome.load(base::acquire) != wait_outcome::closed) continue;
      if (asked_[i].revents == 0) ++found;
      asked_[i].revents = POLLNVAL;
    }
    return static_cast<int>(found);
  }

  // Else no poll would sleep any more. Whoever ends a wait rings before he says so, under a lock;
  // now he has.
  void take_ring(int wake) noexcept {
    const int saved = errno;
    std::uint64_t rung = 0;
    const ssize_t drained = ::read(wake, &rung, sizeof(rung));
    static_cast<void>(drained);  // cannot fail: it is readable
    errno = saved;
    for (nfds_t i = 0; i < count_; ++i) {
      if (!entries_[i].queued) continue;
      const base::guard said(entries_[i].target.which->lock);
    }
  }

  static void wake_kernel_thread(int wake) noexcept {
    const int saved = errno;
    const std::uint64_t one = 1;
    const ssize_t written = ::write(wake, &one, sizeof(one));
    static_cast<void>(written);  // cannot fail: the counter is far from full
    errno = saved;
  }

  pollfd* const asked_;
  const nfds_t count_;
  lent_eventfd wake_;  // outlives our places in the lists: who finds us there may ring
  some_of<poll_entry, few> entries_;
  some_of<pollfd, few + 1> own_;
  base::atomic<bool> stopped_{false};
};

bool is_ready_now(int number, std::uint32_t wanted) noexcept {
  const int events = wanted == descriptor::readable ? POLLIN | POLLRDHUP : POLLOUT;
  pollfd asked{number, static_cast<short>(events), 0};
  settle(&asked, 1);
  return poll_now(&asked, 1) > 0;
}

int wait_ready(int number, std::uint32_t wanted, const wait_limit& limit) noexcept {
  if (is_stopped(limit)) return static_cast<int>(fail(ECANCELED));
  call_target target;
  int error = target.open(number);
  if (error == 0) {
    // acquire: pairs with descriptor::change_state()
    const std::uint32_t seen = target.which->state.load(base::acquire);
    // relaxed: learned once
    if (target.which->kind.load(base::relaxed) == call_kind::always) return 0;
    if ((seen & descriptor::watched) != 0 && (seen & wanted) != 0) return 0;
    if (wanted == descriptor::readable && has_received(*target.which)) return 0;
    error = wait_for_event(target, seen, wanted, limit);
    // A poller may not have told yet.
    if (error == ETIMEDOUT && is_ready_now(number, wanted)) error = 0;
  }
  return error == 0 ? 0 : static_cast<int>(fail(error));
}

}  // namespace

ssize_t poll_now(pollfd* descriptors, nfds_t count) noexcept {
  ssize_t found;
  do {
    found = as_result(::poll(descriptors, count, 0));
  } while (found == -EINTR);
  if (found < 0) return found;
  for (nfds_t i = 0; i < count; ++i) {
    pollfd& one = descriptors[i];
    call_target target;
    if ((one.events & reading) == 0 || one.fd < 0 || target.open(one.fd) != 0) continue;
    if (!has_received(*target.which)) continue;
    if (one.revents == 0) ++found;
    one.revents = static_cast<short>(one.revents | (one.events & reading));
  }
  return found;
}

int poll(pollfd* descriptors, nfds_t count, const wait_limit& limit) {
  if (is_stopped(limit)) return static_cast<int>(fail(ECANCELED));
  // The common case: something is there already. Also the kernel's own checks.
  const auto found = static_cast<int>(poll_now(descriptors, count));
  if (found != 0) return found > 0 ? found : static_cast<int>(fail(-found));
  poll_group group(descriptors, count);
  if (group.failed()) return static_cast<int>(fail(ENOMEM));
  const int result = group.run(limit);
  return result >= 0 ? result : static_cast<int>(fail(-result));
}

int poll(int descriptor, short events, const wait_limit& limit) {
  pollfd asked{descriptor, events, 0};
  const int found = poll(&asked, 1, limit);
  return found <= 0 ? found : asked.revents;
}

int wait_readable(int descriptor, const wait_limit& limit) {
  return wait_ready(descriptor, io::descriptor::readable, limit);
}

int wait_writable(int descriptor, const wait_limit& limit) {
  return wait_ready(descriptor, io::descriptor::writable, limit);
}

}  // namespace treadle::io
