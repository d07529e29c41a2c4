#include "treadle/io/uring_poller.hpp"

#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/check.hpp"
#include "treadle/base/kernel_thread.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/own_descriptor.hpp"
#include "treadle/io/uring_requests.hpp"

namespace treadle::io {
namespace {

// Guess: until a request that was taken back has ended; more than one round is a rare race.
constexpr int release_rounds_max = 1000;

// How many forks lie between the first process and this one.
constinit base::atomic<std::uint32_t> forks{0};

// Held by the kernel threads of rings while they work, and over fork(): so none of them is in a
// descriptor's lock at that moment, which the child would find taken for ever.
constinit base::spin_lock at_work;

void count_forks() noexcept {
  const auto before = +[] { at_work.lock(); };
  const auto in_parent = +[] { at_work.unlock(); };
  const auto in_child = +[] {
    forks.fetch_add(1, base::relaxed);  // relaxed: a child has one kernel thread
    descriptor_table::instance().for_each([](descriptor& one) { one.lose_ring(); });
    at_work.unlock();
  };
  [[maybe_unused]] static const int error = ::pthread_atfork(before, in_parent, in_child);
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
  descriptor_table::instance().for_each([this](descriptor& one) { one.forget(*this); });
  if (buffers_ != nullptr) buffers_->abandon();
  ::close(wake_);
}

// Not for concurrent use: a runtime opens it before anybody can wait.
int uring_poller::open() noexcept {
  if (open_) return 0;
  if (const int error = ring_.open(entries_max, completions_max, true)) return error;
  const base::descriptor_result wake = base::create_eventfd();
  int error = wake.error;
  if (error == 0) wake_ = move_high(wake.descriptor);
  count_forks();
  forks_ = forks.load(base::relaxed);  // relaxed: changes in children only
  if (error == 0 && owner_ == ring_owner::own_thread) {
    error = base::start_kernel_thread(&thread_main, this, &thread_);
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

bool uring_poller::is_ours() const noexcept {
  return open_ && forks.load(base::relaxed) == forks_;  // relaxed: changes in children only
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
  while (work()) block(base::deadline::never());
}

// All that is to be done now. False at the end.
bool uring_poller::work() noexcept {
  const base::guard hold(at_work);
  for (;;) {
    reap();
    take_orders();
    if (being_released_ != nullptr) {
      collect();
    } else if (ends_.load(base::acquire) && !inbox_.has_any()) {  // pairs with the destructor
      return false;
    } else if (!inbox_.has_any()) {
      return true;
    }
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
      if (one.begins) {
        fill_in(entry, each.what, one.number, tag);
      } else {
        fill_in_cancel(entry, tag, tag_of(request::nothing, 0, 0));
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
    one.id = ++last_release_;
    const requests taken_back(one.what);
    one.answers = taken_back.count;
    for (const requests::one& each : taken_back) {
      fill_in_cancel(must_have_entry(), tag_of(each.what, one.number, one.lifetime),
                     tag_of(each.mark, one.number, one.id));
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

// One request: what has begun and what not would else be unclear on an error.
int uring_poller::begin(int number, std::uint32_t lifetime, watch_kind what) noexcept {
  if (!is_ours()) return ENXIO;
  const bool unadopted = adopted_by_.load(base::relaxed) == nullptr;  // relaxed: set by us only
  if (owner_ == ring_owner::own_thread || (!unadopted && !is_mine())) {
    return post({number, lifetime, what, true}) ? 0 : EAGAIN;
  }
  if (unadopted) {
    if (const int error = adopt()) return error;
  }
  for (const requests::one& each : requests(what)) {
    io_uring_sqe* entry = ring_.next();
    if (entry == nullptr) return ENOMEM;
    fill_in(*entry, each.what, number, tag_of(each.what, number, lifetime));
  }
  return 0;
}

int uring_poller::watch(int number, std::uint32_t lifetime) noexcept {
  return begin(number, lifetime, watch_kind::events);
}

int uring_poller::receive(int number, std::uint32_t lifetime, watch_kind what) noexcept {
  if (cannot_receive_.load(base::relaxed)) return EOPNOTSUPP;  // relaxed: see adopt()
  return begin(number, lifetime, what);
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
  if (!is_mine() || !end_now(number, lifetime, what, release != nullptr)) {
    take_back(number, lifetime, what);
  }
  return false;
}

// Some time later, and after what was asked for before. Roused even when it is the ring's kernel
// thread that asks: it may be about to block.
void uring_poller::take_back(int number, std::uint32_t lifetime, watch_kind what) noexcept {
  if (post({number, lifetime, what, false})) return;
  inbox_.ask_for_all_back();
  rouse();
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

}  // namespace treadle::io
