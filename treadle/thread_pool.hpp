// thread_pool: a fixed number of threads that run what is submitted, in order, with a queue that
// makes submitters wait when it is full.
//
// With threads as cheap as these a pool is no cure for the cost of starting them; it is for a bound
// on how much runs at once and on how much waits. A task, its future's state and its place in the
// queue are one allocation.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "treadle/condition_variable.hpp"
#include "treadle/future.hpp"
#include "treadle/mutex.hpp"
#include "treadle/thread.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

struct thread_pool_options {
  std::size_t threads = 0;       // 0: the width of the runtime; else 1 to thread_pool::threads_max
  std::size_t queue_max = 1024;  // tasks that wait, not counting those that run; at least 1
  std::string_view name = {};    // of the threads, as thread_attributes
};

namespace detail {

// What is submitted: a link of the queue. Whoever takes it out runs or drops it, once.
class pool_task {
 public:
  virtual void run() noexcept = 0;
  virtual void drop() noexcept = 0;  // its future gets broken_promise

 protected:
  friend class pool_queue;
  ~pool_task() = default;
  pool_task* next_ = nullptr;  // guarded by the pool
};

// Guarded by its pool.
class pool_queue {
 public:
  std::size_t size() const noexcept { return size_; }
  void push(pool_task& task) noexcept {
    task.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &task;
    last_ = &task;
    ++size_;
  }
  // Not of an empty one.
  pool_task& pop() noexcept {
    pool_task& task = *first_;
    first_ = task.next_;
    if (first_ == nullptr) last_ = nullptr;
    --size_;
    return task;
  }

 private:
  pool_task* first_ = nullptr;
  pool_task* last_ = nullptr;
  std::size_t size_ = 0;
};

template <class Call>
class pool_task_of final : public result_state<typename Call::result>, public pool_task {
 public:
  template <class... Parts>
  explicit pool_task_of(Parts&&... parts) : call_(std::forward<Parts>(parts)...) {}

 private:
  void run() noexcept override {
    this->claim_for_call();
    this->store_outcome(*call_);
    call_.reset();
    this->publish();
    this->release();
  }
  void drop() noexcept override {
    call_.reset();
    this->abandon();
    this->release();
  }

  std::optional<Call> call_;
};

}  // namespace detail

// The pool's threads belong to the runtime of the thread that makes it. By any thread: everything
// but the destructor; tasks may submit, but one that waits for room in its own pool may wait for
// itself.
// Happens-before: submit() before the task, the task before what finds its future ready, and before
// shutdown() returns.
// Errors: the constructor: std::invalid_argument names the option, std::system_error as thread's;
// submit: std::system_error operation_canceled when the pool is shut down, also while it waits;
// std::bad_alloc. What a task throws goes to its future.
// In a task this_thread::stop_token() is the pool's: stopped by shutdown(cancel).
class thread_pool {
 public:
  // Guess: more threads than this are not meant to be a bound.
  static constexpr std::size_t threads_max = 65536;

  enum class ending {
    drain,   // runs what is queued
    cancel,  // drops what is queued, with broken_promise, and stops what runs
  };

  explicit thread_pool(thread_pool_options options = {});
  // shutdown(drain). Misuse: in one of its tasks.
  ~thread_pool();
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  // Queues function(args...), with copies of both. Parks the caller while the queue is full.
  template <class F, class... Args>
  auto submit(F&& function, Args&&... args) {
    return *enqueue(nullptr, std::forward<F>(function), std::forward<Args>(args)...);
  }
  // The same, but nothing when the queue is still full at the limit; without one it does not park.
  template <class F>
  auto try_submit(F&& function) {
    const wait_limit now{std::chrono::nanoseconds(0)};
    return enqueue(&now, std::forward<F>(function));
  }
  template <class F>
  auto try_submit(const wait_limit& limit, F&& function) {
    return enqueue(&limit, std::forward<F>(function));
  }

  // Ends the pool: nothing can be submitted any more. Parks until all threads have ended. Also
  // after another shutdown(); cancel then cuts short a drain.
  void shutdown(ending how = ending::drain);

  // Tasks that wait; a moment's number.
  std::size_t queue_length() const;
  std::size_t queue_max() const noexcept { return queue_max_; }
  std::size_t threads() const noexcept { return ids_.size(); }

 private:
  template <class F, class... Args>
  auto enqueue(const wait_limit* limit, F&& function, Args&&... args) {
    using call = detail::kept_call<std::decay_t<F>, std::decay_t<Args>...>;
    using state = detail::pool_task_of<call>;
    using result = future<typename call::result>;
    if (!take_place(limit)) return std::optional<result>();
    state* made = nullptr;
    try {
      made = new state(std::in_place, std::forward<F>(function), std::forward<Args>(args)...);
    } catch (...) {
      give_place_back();
      throw;
    }
    made->retrieve();
    made->share();  // the queue's
    std::optional<result> outcome(detail::future_access::make<typename call::result>(
        detail::state_handle<detail::result_state<typename call::result>>(made)));
    put(*made);
    return outcome;
  }
  bool take_place(const wait_limit* limit);
  void give_place_back() noexcept;
  void put(detail::pool_task& task) noexcept;
  void work() noexcept;
  void join();
  bool is_idle_for_ever() const noexcept;

  // Fixed after start.
  const std::size_t queue_max_;
  std::vector<thread::id> ids_;

  std::stop_source stop_;
  const std::stop_token token_{stop_.get_token()};
  mutable mutex lock_;
  condition_variable not_full_;
  condition_variable not_empty_;
  condition_variable ended_;
  // Of the one that joins.
  std::vector<thread> threads_;
  // Guarded by lock_.
  detail::pool_queue queue_;
  std::size_t promised_ = 0;  // places of submitters who are about to put
  bool closed_ = false;
  bool cancelled_ = false;
  enum { running, joining, joined } threads_are_ = running;
};

}  // namespace treadle
