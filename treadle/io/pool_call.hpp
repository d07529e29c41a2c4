// Calls made by the pool for a thread that parks meanwhile.
//
// run_on_pool() waits for the end, whatever comes: what it runs may use the caller's memory.
// A pool_call may be left behind at a limit: it lives on the heap, touches nothing of the caller's,
// and is freed by its last user.
// Both work from every thread, also from those that have a kernel thread to themselves.
#pragma once

#include <memory>
#include <type_traits>

#include "treadle/io/blocking_pool.hpp"
#include "treadle/io/handover.hpp"
#include "treadle/io/park.hpp"

namespace treadle::io {

// Runs function(closure) on the pool and parks the caller until it has returned. The caller's
// errno goes there, and comes back as the function leaves it.
void run_on_pool(void (*function)(void* closure), void* closure,
                 blocking_pool& pool = blocking_pool::of_process()) noexcept;

template <class F>
void run_on_pool(F& function, blocking_pool& pool = blocking_pool::of_process()) noexcept {
  run_on_pool([](void* closure) { (*static_cast<F*>(closure))(); }, &function, pool);
}

// The same for a plain call that returns a number and sets errno.
template <class Call>
auto call_on_pool(Call&& call, blocking_pool& pool = blocking_pool::of_process()) noexcept {
  std::invoke_result_t<Call&> result{};
  auto keep = [&]() noexcept { result = call(); };
  run_on_pool(keep, pool);
  return result;
}

class pool_call : public blocking_request {
 public:
  pool_call() noexcept : blocking_request(&pool_call::run_one) {}
  virtual ~pool_call() = default;
  pool_call(const pool_call&) = delete;
  pool_call& operator=(const pool_call&) = delete;

  // errno as work() left it.
  int error() const noexcept { return error_; }

 protected:
  // On a kernel thread of the pool. Leaves its result in the object.
  virtual void work() noexcept = 0;
  // Instead of the waiter, who has left: gives back what work() has got, such as a descriptor.
  virtual void undo() noexcept {}

 private:
  friend wait_end run_on_pool(std::unique_ptr<pool_call>& call, const wait_limit& limit,
                              blocking_pool& pool) noexcept;
  static void run_one(blocking_request& request) noexcept;

  handover state_;
  core::thread* waiter_ = nullptr;
  int error_ = 0;
};

// done: `call` has its result. Else it never ran, or runs for nobody, and `call` is null.
// A call that has begun is not interrupted.
wait_end run_on_pool(std::unique_ptr<pool_call>& call, const wait_limit& limit,
                     blocking_pool& pool = blocking_pool::of_process()) noexcept;

}  // namespace treadle::io
