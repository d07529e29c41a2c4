#include "treadle/io/file_ring.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "treadle/base/check.hpp"
#include "treadle/base/kernel_thread.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/io/blocking_pool.hpp"
#include "treadle/io/own_descriptor.hpp"
#include "treadle/io/ring_words.hpp"
#include "treadle/io/uring.hpp"

namespace treadle::io::file_ring {
namespace {

// Guess: deeper than any disk's queue.
constexpr unsigned in_flight_max = 256;
// Room for every request, a cancellation of each, and what wakes the owner: nothing overflows.
constexpr unsigned completions_max = 4 * in_flight_max;

constexpr std::uint32_t is_complete = ring_news<>::is_complete;
constexpr std::uint32_t cancel_seen = ring_news<>::cancel_seen;

struct ring_request;

struct message {
  ring_request* about;
  bool cancels;
  message* next = nullptr;
};

// On the caller's stack. Gone once all the news has come that the caller waits for.
struct ring_request {
  ring_request(const file_request& what, core::thread& who) noexcept : call(&what), news(who) {}

  // Fixed after start.
  const file_request* const call;
  message start{this, false};
  message cancel{this, true};
  // Owner only.
  ring_request* next = nullptr;
  ring_request* previous = nullptr;
  enum { waiting, in_kernel, finished } stage = waiting;
  // Published by is_complete.
  std::int64_t result = 0;
  // Atomic.
  ring_news<> news;
};

// What io_uring's entry says for each kind of call.
void fill_in(io_uring_sqe& entry, const file_request& call) noexcept {
  entry.fd = call.fd;
  switch (call.what) {
    case file_request::kind::read:
    case file_request::kind::write: {
      const bool writes = call.what == file_request::kind::write;
      entry.off = static_cast<std::uint64_t>(call.offset);
      // Sourced: MAX_RW_COUNT, what Linux moves in one call at most.
      constexpr std::size_t bytes_max = 0x7ffff000;
      if (call.count == 1) {
        const std::size_t bytes = call.parts->iov_len;
        entry.opcode = writes ? IORING_OP_WRITE : IORING_OP_READ;
        entry.addr = reinterpret_cast<std::uintptr_t>(call.parts->iov_base);
        entry.len = static_cast<std::uint32_t>(bytes < bytes_max ? bytes : bytes_max);
      } else {
        entry.opcode = writes ? IORING_OP_WRITEV : IORING_OP_READV;
        entry.addr = reinterpret_cast<std::uintptr_t>(call.parts);
        entry.len = static_cast<std::uint32_t>(call.count);
      }
      break;
    }
    case file_request::kind::fsync:
    case file_request::kind::fdatasync:
      entry.opcode = IORING_OP_FSYNC;
      if (call.what == file_request::kind::fdatasync) entry.fsync_flags = IORING_FSYNC_DATASYNC;
      break;
    case file_request::kind::open:
      entry.opcode = IORING_OP_OPENAT;
      // By a kernel thread from the start: the attempt before that would open a named pipe without
      // waiting for its other end.
      entry.flags = IOSQE_ASYNC;
      entry.fd = AT_FDCWD;
      entry.addr = reinterpret_cast<std::uintptr_t>(call.path);
      entry.len = call.mode;
      entry.open_flags = static_cast<std::uint32_t>(call.flags);
      break;
  }
}

class ring_owner {
 public:
  // 0, or an errno: then nothing is left of it.
  int open() noexcept;
  void post(message& one) noexcept;

 private:
  // What a completion is about, where it is not the address of a request.
  enum : std::uint64_t { about_nothing = 0, about_wake = 1 };

  static void* thread_main(void* owner);
  void work() noexcept;
  void take_messages() noexcept;
  void take_back(ring_request& request) noexcept;
  void start_waiting() noexcept;
  void listen() noexcept;
  bool wait() noexcept;
  void reap() noexcept;
  void finish(ring_request& request, std::int64_t result) noexcept;
  void push(ring_request& request) noexcept;
  void remove(ring_request& request) noexcept;

  uring ring_;
  int wake_ = -1;  // fixed after start: an eventfd
  // Atomic.
  ring_post<message> post_;
  // Owner only.
  ring_request* first_ = nullptr;
  ring_request* last_ = nullptr;
  unsigned in_flight_ = 0;
  bool listening_ = false;
  std::uint64_t wakes_ = 0;
};

int ring_owner::open() noexcept {
  const int before = errno;
  int error = ring_.open(in_flight_max, completions_max);
  if (error == 0) {
    wake_ = ::eventfd(0, EFD_CLOEXEC);
    if (wake_ < 0) {
      error = errno;
    } else {
      wake_ = move_high(wake_);
    }
  }
  if (error == 0) error = base::start_kernel_thread(&thread_main, this);
  if (error != 0) {
    ring_.close();
    if (wake_ >= 0) ::close(wake_);
    wake_ = -1;
  }
  errno = before;
  return error;
}

// Any kernel thread.
void ring_owner::post(message& one) noexcept {
  if (post_.put(one)) {
    const std::uint64_t one_more = 1;
    const int before = own_errno();
    const auto written = ::write(wake_, &one_more, sizeof(one_more));
    TREADLE_CHECK(written == sizeof(one_more), "the owner of io_uring cannot be woken");
    own_errno() = before;
  }
}

void* ring_owner::thread_main(void* owner) {
  ::pthread_setname_np(::pthread_self(), "treadle-ring");
  static_cast<void>(core::current_thread());
  static_cast<ring_owner*>(owner)->work();
  return nullptr;
}

void ring_owner::work() noexcept {
  const int error = ring_.own();
  TREADLE_CHECK(error == 0, "io_uring was set up but cannot be used");
  ring_.limit_workers(blocking_pool::of_process().counters().threads_max);
  for (;;) {
    take_messages();
    start_waiting();
    listen();
    if (!wait()) ::sched_yield();  // the kernel is short of memory
    reap();
  }
}

void ring_owner::take_messages() noexcept {
  message* in_order = post_.take();
  while (in_order != nullptr) {
    message& one = *in_order;
    in_order = one.next;  // before anything is told: the message may vanish with its request
    if (one.cancels) {
      take_back(*one.about);
    } else {
      push(*one.about);
    }
  }
}

// The caller has come to its limit. It waits for both pieces of news.
void ring_owner::take_back(ring_request& request) noexcept {
  if (request.stage == ring_request::waiting) {
    remove(request);
    finish(request, -ECANCELED);
  }
  while (request.stage == ring_request::in_kernel) {
    if (io_uring_sqe* entry = ring_.next()) {
      entry->opcode = IORING_OP_ASYNC_CANCEL;
      entry->fd = -1;
      entry->addr = reinterpret_cast<std::uintptr_t>(&request);
      entry->user_data = about_nothing;
      break;
    }
    ::sched_yield();
    reap();
  }
  request.news.tell(cancel_seen);
}

void ring_owner::start_waiting() noexcept {
  while (first_ != nullptr && in_flight_ < in_flight_max) {
    io_uring_sqe* entry = ring_.next();
    if (entry == nullptr) return;
    ring_request& request = *first_;
    remove(request);
    fill_in(*entry, *request.call);
    entry->user_data = reinterpret_cast<std::uintptr_t>(&request);
    request.stage = ring_request::in_kernel;
    ++in_flight_;
  }
}

// A read of the eventfd is always with the kernel: posting writes to it while we sleep.
void ring_owner::listen() noexcept {
  if (listening_) return;
  io_uring_sqe* entry = ring_.next();
  if (entry == nullptr) return;
  entry->opcode = IORING_OP_READ;
  entry->fd = wake_;
  entry->addr = reinterpret_cast<std::uintptr_t>(&wakes_);
  entry->len = sizeof(wakes_);
  entry->user_data = about_wake;
  listening_ = true;
}

// Submits, and waits for a completion when there is nothing else to do. False: the kernel could not
// take what was prepared.
bool ring_owner::wait() noexcept {
  // While the kernel was short of memory there was no room for some that may begin.
  const bool may_start = first_ != nullptr && in_flight_ < in_flight_max;
  if (!listening_ || may_start) return ring_.submit(false) == 0;
  const bool sleeps = post_.may_sleep();
  const bool away = sleeps && base::go_away();
  const int error = ring_.submit(sleeps);
  if (away) base::come_back();
  if (sleeps) post_.get_up();
  return error == 0 || error == EINTR;
}

void ring_owner::reap() noexcept {
  ring_.reap([this](std::uint64_t about, std::int32_t result) {
    if (about == about_nothing) return;
    if (about == about_wake) {
      listening_ = false;
      return;
    }
    --in_flight_;
    finish(*reinterpret_cast<ring_request*>(about), result);
  });
}

void ring_owner::finish(ring_request& request, std::int64_t result) noexcept {
  request.stage = ring_request::finished;
  request.result = result;
  request.news.tell(is_complete);
}

void ring_owner::push(ring_request& request) noexcept {
  request.previous = last_;
  (last_ != nullptr ? last_->next : first_) = &request;
  last_ = &request;
}

void ring_owner::remove(ring_request& request) noexcept {
  (request.previous != nullptr ? request.previous->next : first_) = request.next;
  (request.next != nullptr ? request.next->previous : last_) = request.previous;
}

// Never destroyed, as its kernel thread never ends.
ring_owner& the_owner() noexcept {
  alignas(ring_owner) static std::byte memory[sizeof(ring_owner)];
  static auto* owner = ::new (memory) ring_owner;
  return *owner;
}

// The call has had no effect. Some calls let the kernel's own codes out, that ask for a restart.
bool was_interrupted(std::int64_t result) noexcept {
  // Sourced: ERESTARTSYS to ERESTART_RESTARTBLOCK of the kernel's include/linux/errno.h.
  return result == -ECANCELED || result == -EINTR || (result <= -512 && result >= -516);
}

enum class state : std::uint8_t { untried, trying, there, refused };
constinit base::atomic<state> now{state::untried};
constinit base::atomic<int> why_refused{0};
constinit base::atomic<std::int64_t> next_try_at{0};  // on the monotonic clock, while untried

// Another time there may be enough of it.
bool is_lack(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

// Guess: rare enough for a call that only wants a file, soon enough for a program that lives long.
constexpr std::int64_t retry_nanoseconds = 100'000'000;
constinit base::atomic<file_calls> chosen{file_calls::automatic};

}  // namespace

void choose(file_calls which) noexcept { chosen.store(which, base::relaxed); }  // relaxed: a wish

bool usable() noexcept {
  const file_calls wish = chosen.load(base::relaxed);  // relaxed: as above
  if (wish == file_calls::pool) return false;
  state seen = now.load(base::acquire);  // pairs with the store below, publishes the ring
  if (seen != state::untried) return seen == state::there;
  // relaxed: only a hint
  if (base::monotonic_now() < next_try_at.load(base::relaxed)) return false;
  // relaxed: only one gets true. The others let the pool make their calls meanwhile.
  if (!now.compare_exchange_strong(seen, state::trying, base::relaxed, base::relaxed)) {
    return false;
  }
  const int error = the_owner().open();
  why_refused.store(error, base::relaxed);  // relaxed: for reports
  const bool later = is_lack(error);
  // relaxed: published with the state
  if (later) next_try_at.store(base::monotonic_now() + retry_nanoseconds, base::relaxed);
  // release: pairs with the load above
  now.store(error == 0 ? state::there : later ? state::untried : state::refused, base::release);
  static constinit base::atomic<bool> said{false};
  // relaxed: only one gets false
  if (error != 0 && wish == file_calls::uring && !said.exchange(true, base::relaxed)) {
    base::say("io_uring was asked for, but the kernel refuses it; the pool makes the calls");
  }
  return error == 0;
}

int refusal() noexcept { return why_refused.load(base::relaxed); }  // relaxed: for reports

outcome perform(const file_request& request, const wait_limit& limit) noexcept {
  core::thread& self = core::current_thread();
  ring_owner& owner = the_owner();
  ring_request mine(request, self);
  owner.post(mine.start);
  const wait_end how = park_until(self, limit, [&] { return mine.news.has(is_complete); });
  if (how == wait_end::done) {
    return {how, was_interrupted(mine.result) ? -EAGAIN : mine.result};  // not by us: once more
  }
  owner.post(mine.cancel);
  while (!mine.news.has(is_complete | cancel_seen)) {
    static_cast<void>(self.scheduler->park(core::wait_reason::io, base::deadline::never()));
  }
  return {was_interrupted(mine.result) ? how : wait_end::done, mine.result};
}

}  // namespace treadle::io::file_ring
