#include "treadle/io/pool_call.hpp"

#include <cerrno>

namespace treadle::io {
namespace {

// On the caller's stack.
struct errand : blocking_request {
  errand(void (*what)(void*), void* with) noexcept
      : blocking_request(&errand::run_one), function(what), closure(with) {}

  static void run_one(blocking_request& request) noexcept {
    auto& mine = static_cast<errand&>(request);
    core::thread& waiter = *mine.waiter;
    errno = mine.error;
    mine.function(mine.closure);
    mine.error = errno;
    // The waiter never gives up.
    if (mine.state.complete()) core::scheduler_port::unpark(waiter);
  }

  void (*const function)(void*);
  void* const closure;
  core::thread* waiter = nullptr;
  int error = 0;
  handover state;
};

}  // namespace

void run_on_pool(void (*function)(void* closure), void* closure, blocking_pool& pool) noexcept {
  core::thread& self = core::current_thread();
  errand mine(function, closure);
  mine.waiter = &self;
  mine.error = own_errno();
  pool.submit(mine);
  while (!mine.state.is_done()) {
    static_cast<void>(self.scheduler->park(core::wait_reason::io, base::deadline::never()));
  }
  own_errno() = mine.error;
}

void pool_call::run_one(blocking_request& request) noexcept {
  auto& mine = static_cast<pool_call&>(request);
  core::thread& waiter = *mine.waiter_;
  errno = 0;
  mine.work();
  mine.error_ = errno;
  if (mine.state_.complete()) {
    core::scheduler_port::unpark(waiter);
  } else {
    mine.undo();
    delete &mine;
  }
}

wait_end run_on_pool(std::unique_ptr<pool_call>& call, const wait_limit& limit,
                     blocking_pool& pool) noexcept {
  core::thread& self = core::current_thread();
  pool_call& mine = *call;
  mine.waiter_ = &self;
  pool.submit(mine);
  const wait_end how = park_until(self, limit, [&] { return mine.state_.is_done(); });
  if (how == wait_end::done) return how;
  if (pool.withdraw(mine)) {
    call.reset();
    return how;
  }
  if (!mine.state_.give_up()) return wait_end::done;
  static_cast<void>(call.release());  // run_one() frees it
  return how;
}

}  // namespace treadle::io
