// The ring's kernel thread: it waits, and tells what has happened.
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/solo.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/uring_poller.hpp"
#include "treadle/io/uring_requests.hpp"

namespace treadle::io {
namespace {

// Guess, as epoll_poller's: an event may wait as long as some thread switches take.
constexpr std::int64_t look_interval_nanoseconds = 10'000;

}  // namespace

bool uring_poller::in_use() const noexcept {
  // acquire: pairs with adopt()
  return owner_ == ring_owner::whoever_polls && adopted_by_.load(base::acquire) != nullptr &&
         is_ours();
}

// A poll of the eventfd is always with the kernel; nobody needs to read it.
void uring_poller::listen() noexcept {
  if (listening_) return;
  fill_in_poll(must_have_entry(), wake_, every_event, tag_of(request::wake, 0, 0));
  listening_ = true;
}

void uring_poller::interrupt() noexcept {
  if (is_ours()) rouse();
}

void uring_poller::rouse() noexcept {
  if (rousing_.rouse()) ground::ring(wake_);
}

void uring_poller::block(base::deadline until) noexcept {
  listen();
  int error = 0;
  if (!rousing_.begin_wait()) {
    error = ring_.submit(false);
  } else {
    const bool away = base::go_away();
    if (until.is_never()) {
      error = ring_.submit(true);
    } else {
      const std::int64_t left = until.nanoseconds() - base::monotonic_now();
      error = ring_.submit_and_wait_for(left > 0 ? left : 0);
    }
    if (away) base::come_back();
  }
  rousing_.end_wait();
  // Out of memory: what was prepared is prepared still.
  if (error != 0 && error != EINTR && error != ETIME) ::sched_yield();
}

void uring_poller::poll(base::deadline until) noexcept {
  if (!in_use()) return;
  const int saved = errno;
  take_orders();
  if (until.nanoseconds() != 0) {
    block(until);
  } else if (ring_.has_news()) {
    const std::int64_t now = base::monotonic_now();
    if (now - last_look_ >= look_interval_nanoseconds) {
      last_look_ = now;
      static_cast<void>(ring_.submit(false));  // else at the next look
    }
  }
  reap();
  errno = saved;
}

// Until those who close are answered.
void uring_poller::collect() noexcept {
  static_cast<void>(ring_.submit(false));  // else in the next round
  reap();
  file_release* rest = being_released_;
  being_released_ = nullptr;
  while (rest != nullptr) {
    file_release& one = *rest;
    rest = one.next;
    if (one.is_over()) {
      one.tell();
    } else {
      one.next = being_released_;
      being_released_ = &one;
    }
  }
}

void uring_poller::reap() noexcept {
  ring_.reap_whole([this](const io_uring_cqe& entry) { handle(entry); });
}

// For those who wait until requests have ended.
void uring_poller::count_down(std::uint64_t tag, std::int32_t result, bool over) noexcept {
  const request what = what_of(tag);
  const int kind = requests::kind_of(what);
  const bool is_answer = what >= request::cancel_poll;
  for (file_release* one = being_released_; one != nullptr; one = one->next) {
    if (one->number != number_of(tag)) continue;
    if (is_answer && one->id == lifetime_of(tag)) {
      --one->answers;
      if (result > 0) one->ending[kind] += result;
    } else if (!is_answer && over && one->lifetime == lifetime_of(tag)) {
      --one->ending[kind];
    }
  }
}

void uring_poller::handle(const io_uring_cqe& entry) noexcept {
  const request what = what_of(entry.user_data);
  const bool over = (entry.flags & IORING_CQE_F_MORE) == 0;
  if (what == request::nothing) return;
  if (what == request::wake) {
    if (over) listening_ = false;
    return;
  }
  if (what == request::receive) {
    handle_receipt(entry, over);
  } else if (what == request::end) {
    handle_end(entry, over);
  } else if (what == request::poll) {
    const std::uint32_t lifetime = lifetime_of(entry.user_data);
    int unused = 0;
    descriptor* which = descriptor_table::instance().find(number_of(entry.user_data), unused);
    if (which == nullptr) return;
    if (entry.res > 0) {
      which->deliver(lifetime, readiness_of(static_cast<std::uint32_t>(entry.res)));
    }
    if (over) which->leave(*this, &lifetime);
  }
  if (being_released_ != nullptr) count_down(entry.user_data, entry.res, over);
}

void uring_poller::handle_receipt(const io_uring_cqe& entry, bool over) noexcept {
  // relaxed: see adopt(). What this kernel cannot do it need not be asked again.
  if (entry.res == -EINVAL || entry.res == -EOPNOTSUPP) cannot_receive_.store(true, base::relaxed);
  descriptor::receipt news{buffers_, -1, entry.res, over};
  if ((entry.flags & IORING_CQE_F_BUFFER) != 0) {
    news.index = static_cast<int>(entry.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  int unused = 0;
  const int number = number_of(entry.user_data);
  const std::uint32_t lifetime = lifetime_of(entry.user_data);
  // There: a number that was received from is in the table.
  descriptor& which = *descriptor_table::instance().find(number, unused);
  if (!which.deliver(lifetime, news) || over) return;
  // Nobody reads. Without room for the entry the next buffer says so again.
  if (io_uring_sqe* stop = ring_.next()) {
    fill_in_cancel(*stop, entry.user_data, tag_of(request::nothing, 0, 0));
  }
}

// See receive_queue.hpp. Through the inbox, as the receive may be still on its way there.
void uring_poller::handle_end(const io_uring_cqe& entry, bool over) noexcept {
  const int number = number_of(entry.user_data);
  const std::uint32_t lifetime = lifetime_of(entry.user_data);
  const bool has_come = entry.res > 0 && (static_cast<std::uint32_t>(entry.res) & is_end) != 0;
  int unused = 0;
  // There: as above.
  descriptor& which = *descriptor_table::instance().find(number, unused);
  if (which.deliver_end(lifetime, has_come, over)) take_back(number, lifetime, watch_kind::receipt);
}

}  // namespace treadle::io
