#include "treadle/io/uring_poller.hpp"

#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/check.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/kernel_thread.hpp"
#include "treadle/io/uring_requests.hpp"

namespace treadle::io {
namespace {

// Guess, as epoll_poller's: an event may wait as long as some thread switches take.
constexpr std::int64_t look_interval_nanoseconds = 10'000;
// Guess: until a request that was taken back has ended; more than one round is a rare race.
constexpr int release_rounds_max = 1000;

// How many forks lie between the first process and this one.
constinit base::atomic<std::uint32_t> forks{0};

void count_forks() noexcept {
  // relaxed: a child has one kernel thread
  const auto in_child = +[] { forks.fetch_add(1, base::relaxed); };
  [[maybe_unused]] static const int error = ::pthread_atfork(nullptr, nullptr, in_child);
}

}  // namespace

uring_poller::~uring_poller() {
  if (!open_) return;
  // After it nobody asks for anything.
  descriptor_table::instance().for_each([this](descriptor& one) { one.leave(*this); });
  // relaxed: whoever destroys is the process that opened, or the child has nothing to end
  if (owner_ == ring_owner::own_thread && forks.load(base::relaxed) == forks_) {
    ends_.store(true, base::release);  // pairs with serve()
    rouse();
    ::pthread_join(thread_, nullptr);
  }
  // The kernel has ended all requests of the ring's kernel thread: what they had received is here.
  if (is_ours()) reap();
  ring_.close();
  if (buffers_ != nullptr) buffers_->abandon();
  ::close(wake_);
}

// Not for concurrent use: a runtime opens it before anybody can wait.
int uring_poller::open() noexcept {
  if (open_) return 0;
  if (const int error = ring_.open(entries_max, completions_max, true)) return error;
  const base::descriptor_result wake = base::create_eventfd();
  int error = wake.error;
  wake_ = wake.descriptor;
  count_forks();
  forks_ = forks.load(base::relaxed);  // relaxed: changes in children only
  if (error == 0 && owner_ == ring_owner::own_thread) {
    error = start_kernel_thread(&thread_main, this, &thread_);
  }
  if (error != 0) {
    ring_.close();
    if (wake_ >= 0) ::close(wake_);
    return error;
  }
  open_ = true;
  return 0;
}

// ---- whose kernel thread ----

// The calling kernel thread is the ring's from now on.
int uring_poller::adopt() noexcept {
  if (const int error = ring_.own()) return error;
  buffers_ = receive_buffers::make();
  const bool receives = buffers_ != nullptr && buffers_->give_to(ring_) == 0;
  cannot_receive_.store(!receives, base::relaxed);  // relaxed: who does not know is told later
  // release: pairs with in_use()
  adopted_by_.store(&core::current_worker(), base::release);
  return 0;
}

bool uring_poller::is_mine() const noexcept {
  // relaxed: the answer is about the caller itself
  return adopted_by_.load(base::relaxed) == core::current_worker_or_null() &&
         core::current_worker_or_null() != nullptr;
}

void* uring_poller::thread_main(void* poller) {
  ::pthread_setname_np(::pthread_self(), "treadle-events");
  static_cast<void>(core::current_thread());
  static_cast<uring_poller*>(poller)->serve();
  return nullptr;
}

void uring_poller::serve() noexcept {
  const int error = adopt();
  TREADLE_CHECK(error == 0, "io_uring was set up but cannot be used");
  for (;;) {
    take_orders();
    if (being_released_ != nullptr) {
      collect();
      continue;
    }
    if (ends_.load(base::acquire) && !inbox_.has_any()) return;  // pairs with the destructor
    block(base::deadline::never());
    reap();
  }
}

// ---- what others ask for ----

bool uring_poller::post(const uring_inbox::order& one) noexcept {
  if (!inbox_.put(one)) return false;
  rouse();
  return true;
}

void uring_poller::post(file_release& release) noexcept {
  inbox_.put(release);
  rouse();
}

void uring_poller::take_orders() noexcept {
  if (!inbox_.has_any()) return;
  file_release* releases = nullptr;
  bool all_back = false;
  const unsigned count = inbox_.take(taken_, releases, all_back);
  for (unsigned i = 0; i < count; ++i) {
    const uring_inbox::order& one = taken_[i];
    for (const requests::one& each : requests(one.what)) {
      const std::uint64_t tag = tag_of(each.what, one.number, one.lifetime);
      io_uring_sqe& entry = must_have_entry();
      if (!one.begins) {
        fill_in_cancel(entry, tag, tag_of(request::nothing, 0, 0));
      } else if (each.what == request::poll) {
        fill_in_poll(entry, one.number, tag);
      } else {
        fill_in_receive(entry, one.number, tag);
      }
    }
  }
  if (all_back) {
    // After the orders: what one of them began may be what is to be taken back.
    io_uring_sqe& all = must_have_entry();
    fill_in_cancel(all, 0, tag_of(request::nothing, 0, 0));
    all.cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  }
  while (releases != nullptr) {
    file_release& one = *releases;
    releases = one.next;
    one.next = being_released_;
    being_released_ = &one;
    for (const requests::one& each : requests(one.what)) {
      ++one.answers;
      fill_in_cancel(must_have_entry(), tag_of(each.what, one.number, one.lifetime),
                     tag_of(each.mark, one.number, one.lifetime));
    }
  }
}

// Not with a descriptor's lock held.
io_uring_sqe& uring_poller::must_have_entry() noexcept {
  for (;;) {
    if (io_uring_sqe* entry = ring_.next()) return *entry;
    reap();  // there may be no room for completions
    ::sched_yield();
  }
}

int uring_poller::begin(int number, std::uint32_t lifetime, watch_kind what) noexcept {
  if (!is_ours()) return ENXIO;
  const bool unadopted = adopted_by_.load(base::relaxed) == nullptr;  // relaxed: set by us only
  if (owner_ == ring_owner::own_thread || (!unadopted && !is_mine())) {
    return post({number, lifetime, what, true}) ? 0 : EAGAIN;
  }
  if (unadopted) {
    if (const int error = adopt()) return error;
  }
  io_uring_sqe* entry = ring_.next();
  if (entry == nullptr) return ENOMEM;
  if (what == watch_kind::events) {
    fill_in_poll(*entry, number, tag_of(request::poll, number, lifetime));
  } else {
    fill_in_receive(*entry, number, tag_of(request::receive, number, lifetime));
  }
  return 0;
}

int uring_poller::watch(int number, std::uint32_t lifetime) noexcept {
  return begin(number, lifetime, watch_kind::events);
}

int uring_poller::receive(int number, std::uint32_t lifetime) noexcept {
  if (cannot_receive_.load(base::relaxed)) return EOPNOTSUPP;  // relaxed: see adopt()
  return begin(number, lifetime, watch_kind::receipt);
}

void uring_poller::catch_up() noexcept {
  if (!is_ours() || !is_mine()) return;
  reap();
}

bool uring_poller::unwatch(int number, std::uint32_t lifetime, watch_kind what,
                           file_release* release) noexcept {
  if (!is_ours()) return false;
  if (owner_ == ring_owner::own_thread && release != nullptr) {
    release->number = number;
    release->lifetime = lifetime;
    release->what = what;
    post(*release);
    return true;
  }
  const bool done = is_mine() ? end_now(number, lifetime, what, release != nullptr)
                              : post({number, lifetime, what, false});
  if (!done) {
    inbox_.ask_for_all_back();
    rouse();
  }
  return false;
}

// By the ring's kernel thread, with a descriptor's lock held: so nothing is reaped here.
bool uring_poller::end_now(int number, std::uint32_t lifetime, watch_kind what,
                           bool waits) noexcept {
  for (const requests::one& each : requests(what)) {
    io_uring_sqe* entry = ring_.next();
    if (entry == nullptr) return false;
    const std::uint64_t target = tag_of(each.what, number, lifetime);
    const std::uint64_t mark = tag_of(each.mark, number, lifetime);
    fill_in_cancel(*entry, target, mark);
    for (int round = 0; waits && round < release_rounds_max; ++round) {
      static_cast<void>(ring_.submit(false));  // else in the next round
      const bool over = ring_.any([=](const io_uring_cqe& one) {
        if (one.user_data == mark) return one.res <= 0;
        return one.user_data == target && (one.flags & IORING_CQE_F_MORE) == 0;
      });
      if (over) break;
    }
  }
  return true;
}

// ---- the ring's kernel thread ----

bool uring_poller::is_ours() const noexcept {
  return open_ && forks.load(base::relaxed) == forks_;  // relaxed: changes in children only
}

bool uring_poller::in_use() const noexcept {
  // acquire: pairs with adopt()
  return owner_ == ring_owner::whoever_polls && adopted_by_.load(base::acquire) != nullptr &&
         is_ours();
}

// A poll of the eventfd is always with the kernel; nobody needs to read it.
void uring_poller::listen() noexcept {
  if (listening_) return;
  fill_in_poll(must_have_entry(), wake_, tag_of(request::wake, 0, 0));
  listening_ = true;
}

void uring_poller::interrupt() noexcept {
  if (is_ours()) rouse();
}

void uring_poller::rouse() noexcept {
  // seq_cst, both: of us and block() one sees the other
  interrupted_.store(true, base::seq_cst);
  if (!blocked_.load(base::seq_cst)) return;
  const int saved = errno;
  const std::uint64_t one = 1;
  const ssize_t written = ::write(wake_, &one, sizeof(one));
  static_cast<void>(written);  // it would take 2^64 interrupts to fill the counter
  errno = saved;
}

void uring_poller::block(base::deadline until) noexcept {
  listen();
  blocked_.store(true, base::seq_cst);  // seq_cst: see rouse()
  int error = 0;
  if (interrupted_.load(base::seq_cst)) {
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
  blocked_.store(false, base::relaxed);  // relaxed: a late rouse() writes in vain
  // acquire: pairs with rouse(), the caller then sees what it was woken for
  interrupted_.exchange(false, base::acq_rel);
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
    if (one.answers == 0 && one.ending <= 0) {
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
  const watch_kind other = what == request::poll ? watch_kind::receipt : watch_kind::events;
  for (file_release* one = being_released_; one != nullptr; one = one->next) {
    if (one->number != number_of(tag) || one->lifetime != lifetime_of(tag)) continue;
    if (what == request::cancel_poll || what == request::cancel_receive) {
      --one->answers;
      if (result > 0) one->ending += result;
    } else if (over && one->what != other) {
      --one->ending;
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

}  // namespace treadle::io
