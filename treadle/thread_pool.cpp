#include "treadle/thread_pool.hpp"

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <system_error>

#include "treadle/runtime.hpp"

namespace treadle {
namespace {

std::size_t checked(std::string_view option, std::size_t value, std::size_t max) {
  if (value == 0 || value > max) {
    throw std::invalid_argument("treadle: thread_pool_options::" + std::string(option) + " is " +
                                std::to_string(value) + ", allowed are 1 to " +
                                std::to_string(max));
  }
  return value;
}

}  // namespace

thread_pool::thread_pool(thread_pool_options options)
    : queue_max_(checked("queue_max", options.queue_max, static_cast<std::size_t>(PTRDIFF_MAX))) {
  if (options.threads == 0) options.threads = runtime::current().width();
  threads_.reserve(checked("threads", options.threads, threads_max));
  ids_.reserve(options.threads);
  const thread_attributes attributes{.name = options.name};
  try {
    while (threads_.size() < options.threads) {
      threads_.emplace_back(attributes, [this] { work(); });
      ids_.push_back(threads_.back().get_id());
    }
  } catch (...) {
    shutdown();
    throw;
  }
}

thread_pool::~thread_pool() { shutdown(); }

void thread_pool::work() noexcept {
  const detail::own_stop_token own(token_);
  for (;;) {
    std::unique_lock hold(lock_);
    not_empty_.wait(hold, [this] { return queue_.size() > 0 || is_idle_for_ever(); });
    if (queue_.size() == 0) return;
    detail::pool_task& task = queue_.pop();
    not_full_.notify_one();
    hold.unlock();
    task.run();
  }
}

// With lock_ held.
bool thread_pool::is_idle_for_ever() const noexcept { return closed_ && promised_ == 0; }

// False when the limit came first.
bool thread_pool::take_place(const wait_limit* limit) {
  const auto may_go_on = [this] { return closed_ || queue_.size() + promised_ < queue_max_; };
  std::unique_lock hold(lock_);
  if (limit == nullptr) {
    not_full_.wait(hold, may_go_on);
  } else if (!may_go_on() && !not_full_.try_wait(hold, *limit, may_go_on)) {
    return false;
  }
  if (closed_) {
    throw std::system_error(std::make_error_code(std::errc::operation_canceled),
                            "treadle: thread_pool::submit: the pool is shut down");
  }
  ++promised_;
  return true;
}

void thread_pool::give_place_back() noexcept {
  const std::lock_guard hold(lock_);
  --promised_;
  not_full_.notify_one();
  if (is_idle_for_ever()) not_empty_.notify_all();
}

void thread_pool::put(detail::pool_task& task) noexcept {
  std::unique_lock hold(lock_);
  --promised_;
  if (!cancelled_) {
    queue_.push(task);
    not_empty_.notify_one();
    if (is_idle_for_ever()) not_empty_.notify_all();
    return;
  }
  if (is_idle_for_ever()) not_empty_.notify_all();
  hold.unlock();
  task.drop();
}

void thread_pool::shutdown(ending how) {
  if (std::find(ids_.begin(), ids_.end(), this_thread::get_id()) != ids_.end()) {
    base::fail_misuse("thread_pool::shutdown", "called in one of the pool's tasks");
  }
  detail::pool_queue dropped;
  {
    const std::lock_guard hold(lock_);
    closed_ = true;
    if (how == ending::cancel) {
      cancelled_ = true;
      dropped = std::exchange(queue_, {});
    }
    not_full_.notify_all();
    not_empty_.notify_all();
  }
  if (how == ending::cancel) stop_.request_stop();
  while (dropped.size() > 0) dropped.pop().drop();
  join();
}

// One caller joins, the others wait for it.
void thread_pool::join() {
  std::unique_lock hold(lock_);
  if (threads_are_ == running) {
    threads_are_ = joining;
    hold.unlock();
    for (thread& each : threads_) each.join();
    hold.lock();
    threads_are_ = joined;
    ended_.notify_all();
  }
  ended_.wait(hold, [this] { return threads_are_ == joined; });
}

std::size_t thread_pool::queue_length() const {
  const std::lock_guard hold(lock_);
  return queue_.size();
}

}  // namespace treadle
