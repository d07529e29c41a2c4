#include "treadle/io/blocking_pool.hpp"

#include <pthread.h>

#include <new>

#include "treadle/base/check.hpp"
#include "treadle/base/futex.hpp"
#include "treadle/base/kernel_thread.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {
namespace {

void say_once(int error) noexcept {
  static base::atomic<bool> said{false};
  if (error == 0 || said.exchange(true, base::relaxed)) return;  // relaxed: only one gets false
  base::say("a kernel thread for blocking calls was refused; they wait for each other instead");
}

}  // namespace

blocking_pool& blocking_pool::of_process() noexcept {
  alignas(blocking_pool) static std::byte memory[sizeof(blocking_pool)];
  static auto* pool = ::new (memory) blocking_pool(blocking_threads_default);
  return *pool;
}

blocking_pool_counters blocking_counters() noexcept {
  return blocking_pool::of_process().counters();
}

blocking_pool::~blocking_pool() {
  for (;;) {
    core::thread* idle = nullptr;
    {
      const base::guard hold(lock_);
      closing_ = true;
      if (threads_ == 0 && queued_ == 0) return;
      idle = pop_idle();
    }
    if (idle != nullptr) {
      core::scheduler_port::unpark(*idle);
      continue;
    }
    // Guess: short for whoever waits, long for the kernel.
    constexpr std::int64_t poll_nanoseconds = 200'000;
    base::atomic<std::uint32_t> never{0};
    base::futex_wait(never, 0, base::deadline::at(base::monotonic_now() + poll_nanoseconds));
  }
}

void blocking_pool::submit(blocking_request& request) noexcept {
  core::thread* idle = nullptr;
  bool add = false;
  {
    const base::guard hold(lock_);
    push(request);
    // An idle thread is called for each request, so that there is nobody to call only when all are
    // on their way to the queue.
    idle = pop_idle();
    if (idle == nullptr && threads_ < threads_max_) {
      ++threads_;
      add = true;
    }
  }
  if (idle != nullptr) core::scheduler_port::unpark(*idle);
  if (add) add_thread();
}

// With the lock held. The caller unparks what it gets, with the lock free: waking takes longer than
// all that the lock is for. The seat may be gone by then, a record never is.
core::thread* blocking_pool::pop_idle() noexcept {
  seat* found = idle_;
  if (found == nullptr) return nullptr;
  idle_ = found->next;
  core::thread* who = found->who;
  found->called.store(true, base::release);  // pairs with wait_for_work(); the last touch
  return who;
}

bool blocking_pool::withdraw(blocking_request& request) noexcept {
  const base::guard hold(lock_);
  if (!request.queued) return false;
  remove(request);
  return true;
}

void blocking_pool::set_threads_max(unsigned threads_max) noexcept {
  for (;;) {
    core::thread* idle = nullptr;
    {
      const base::guard hold(lock_);
      threads_max_ = threads_max;
      if (threads_ > threads_max) idle = pop_idle();
    }
    if (idle == nullptr) return;
    core::scheduler_port::unpark(*idle);  // it sees that it is one too many
  }
}

blocking_pool_counters blocking_pool::counters() noexcept {
  const base::guard hold(lock_);
  return {threads_, busy_, queued_, done_, threads_max_};
}

// `threads_` counts the new one already. If the last thread is refused, nobody is left to look at
// the queue, whoever filled it: the caller does.
void blocking_pool::add_thread() noexcept {
  const int error = base::start_kernel_thread(&thread_main, this);
  if (error == 0) return;
  say_once(error);
  const base::guard hold(lock_);
  --threads_;
  run_here();
}

void* blocking_pool::thread_main(void* pool) {
  ::pthread_setname_np(::pthread_self(), "treadle-call");
  seat mine;
  mine.who = &core::current_thread();
  static_cast<blocking_pool*>(pool)->work(mine);
  return nullptr;
}

void blocking_pool::work(seat& mine) noexcept {
  const base::guard hold(lock_);
  while (threads_ <= threads_max_) {
    if (first_ != nullptr) {
      blocking_request& request = *first_;
      remove(request);
      run_unlocked(request);
    } else if (!wait_for_work(mine)) {
      break;
    }
  }
  --threads_;
}

void blocking_pool::run_unlocked(blocking_request& request) noexcept {
  ++busy_;
  lock_.unlock();
  request.run(request);
  lock_.lock();
  --busy_;
  ++done_;
}

// With the lock held, which it gives back for a while. False: there has been nothing to do for so
// long that the thread should end.
bool blocking_pool::wait_for_work(seat& mine) noexcept {
  if (closing_) return false;
  const base::deadline until = base::deadline::at(base::monotonic_now() + idle_nanoseconds_);
  mine.called.store(false, base::relaxed);  // relaxed: published by the lock
  mine.next = idle_;
  idle_ = &mine;
  lock_.unlock();
  bool in_time = true;
  // acquire: pairs with pop_idle()
  while (!mine.called.load(base::acquire) && in_time) {
    in_time = mine.who->scheduler->park(core::wait_reason::io, until) == core::wake::token;
  }
  lock_.lock();
  if (mine.called.load(base::relaxed)) return true;  // relaxed: written under the lock
  leave_idle(mine);
  return first_ != nullptr;
}

// Not through the list's end: at most blocking_threads_max to look at, once in many seconds.
void blocking_pool::leave_idle(const seat& mine) noexcept {
  seat** link = &idle_;
  while (*link != &mine) link = &(*link)->next;
  *link = mine.next;
}

// With the lock held: what is queued while there is no thread at all.
void blocking_pool::run_here() noexcept {
  while (threads_ == 0 && first_ != nullptr) {
    blocking_request& request = *first_;
    remove(request);
    run_unlocked(request);
  }
}

void blocking_pool::push(blocking_request& request) noexcept {
  request.queued = true;
  request.next = nullptr;
  request.previous = last_;
  (last_ != nullptr ? last_->next : first_) = &request;
  last_ = &request;
  ++queued_;
}

void blocking_pool::remove(blocking_request& request) noexcept {
  request.queued = false;
  (request.previous != nullptr ? request.previous->next : first_) = request.next;
  (request.next != nullptr ? request.next->previous : last_) = request.previous;
  --queued_;
}

}  // namespace treadle::io
