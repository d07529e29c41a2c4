// Tasks side by side: when_all(), when_any(), and a scope for as many as there turn out to be.
//
// Children may run on several carriers at once and never outlive the co_await that started them.
// They have the parent's stop token, or one of their own where somebody may ask only them to stop.
#pragma once

#include <array>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "treadle/co_access.hpp"
#include "treadle/co_time.hpp"
#include "treadle/co_waits.hpp"
#include "treadle/task/fork_join.hpp"
#include "treadle/wait_group.hpp"

namespace treadle::co {
namespace detail {

// What a task gives when it is one of several.
template <class T>
using part = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// The same where it stands in a vector.
template <class T>
using element = std::conditional_t<std::is_reference_v<T>,
                                   std::reference_wrapper<std::remove_reference_t<T>>, part<T>>;

template <class T>
part<T> take_part(std::coroutine_handle<treadle::detail::task_promise<T>> ended) {
  if constexpr (std::is_void_v<T>) {
    ended.promise().take();
    return {};
  } else {
    return ended.promise().take();
  }
}

template <class... Ts>
class [[nodiscard]] all_awaiter {
 public:
  explicit all_awaiter(task<Ts>&&... children) noexcept : tasks_(std::move(children)...) {}
  all_awaiter(const all_awaiter&) = delete;
  all_awaiter& operator=(const all_awaiter&) = delete;

  static bool await_ready() noexcept { return false; }
  template <tasks::runs_as_task Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) {
    const tasks::line& own = caller.promise().own_line();
    tasks::begin_group(group_, sizeof...(Ts), caller, own, own.stop());
    return fork(std::index_sequence_for<Ts...>());
  }
  // Throws what the first of those threw that threw.
  std::tuple<part<Ts>...> await_resume() {
    tasks::free_records(children_);
    return std::apply(
        [](auto&... each) {
          return std::tuple<part<Ts>...>{take_part(treadle::detail::task_access::frame(each))...};
        },
        tasks_);
  }

 private:
  template <std::size_t... I>
  std::coroutine_handle<> fork(std::index_sequence<I...>) noexcept {
    tasks::engine& home = *group_.home;
    void* const frames[] = {tasks::fork_in(
        group_, children_[I], treadle::detail::task_access::frame(std::get<I>(tasks_)))...};
    tasks::carrier& mine = tasks::current_carrier();
    for (std::size_t i = sizeof...(Ts) - 1; i > 0; --i) {
      tasks::offer(home, mine, children_[i], frames[i]);
    }
    return tasks::jump_to(std::coroutine_handle<>::from_address(frames[0]));
  }

  std::tuple<task<Ts>...> tasks_;
  // Both are written when it suspends.
  tasks::fork_group group_;
  std::array<tasks::fork_line, sizeof...(Ts)> children_;
};

template <class T>
class [[nodiscard]] vector_awaiter {
 public:
  explicit vector_awaiter(std::vector<task<T>> children, const std::stop_token* stop = nullptr)
      : tasks_(std::move(children)), stop_(stop), children_(tasks_.size()) {}
  vector_awaiter(const vector_awaiter&) = delete;
  vector_awaiter& operator=(const vector_awaiter&) = delete;

  bool await_ready() const noexcept { return tasks_.empty(); }
  template <tasks::runs_as_task Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) {
    const tasks::line& own = caller.promise().own_line();
    tasks::begin_group(group_, tasks_.size(), caller, own, stop_ != nullptr ? stop_ : own.stop());
    tasks::engine& home = *group_.home;
    tasks::carrier& mine = tasks::current_carrier();
    for (std::size_t i = tasks_.size() - 1; i > 0; --i) {
      tasks::offer(home, mine, children_[i], fork(i));
    }
    return tasks::jump_to(std::coroutine_handle<>::from_address(fork(0)));
  }
  std::vector<element<T>> await_resume() {
    tasks::free_records(children_.all());
    std::vector<element<T>> results;
    results.reserve(tasks_.size());
    for (auto& each : tasks_) {
      results.push_back(take_part(treadle::detail::task_access::frame(each)));
    }
    return results;
  }

 private:
  void* fork(std::size_t i) noexcept {
    return tasks::fork_in(group_, children_[i], treadle::detail::task_access::frame(tasks_[i]));
  }

  std::vector<task<T>> tasks_;
  const std::stop_token* stop_;
  tasks::fork_group group_;
  tasks::fork_lines children_;
};

}  // namespace detail

// Runs all of them; co_await gives a tuple of what they return, std::monostate for void. When some
// threw it throws what the first of these in order threw, after all have ended.
template <class... Ts>
auto when_all(task<Ts>... children) requires(sizeof...(Ts) > 0) {
  return detail::all_awaiter<Ts...>(std::move(children)...);
}
// The same as a vector; references are std::reference_wrapper there.
template <class T>
auto when_all(std::vector<task<T>> children) {
  return detail::vector_awaiter<T>(std::move(children));
}

// What when_any() gives: who was first, and with what.
template <class T>
struct first_of {
  std::size_t index;
  T value;
};

namespace detail {

template <class T>
struct race {
  std::stop_source source;
  std::stop_token token = source.get_token();
  base::atomic<bool> decided{false};
  std::optional<first_of<part<T>>> won;
  std::exception_ptr failed;

  // True for one only.
  bool decide() noexcept {
    return !decided.exchange(true, base::acq_rel);  // acq_rel: one decides, and before the rest
  }
};

template <class T>
task<> run_in_race(race<T>& among, std::size_t index, task<T> runner) {
  bool is_first = false;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(runner);
      is_first = among.decide();
      if (!is_first) co_return;
      among.won.emplace(first_of<part<T>>{index, {}});
    } else {
      part<T> value = co_await std::move(runner);
      is_first = among.decide();
      if (!is_first) co_return;
      among.won.emplace(first_of<part<T>>{index, std::forward<part<T>>(value)});
    }
  } catch (...) {
    // The first value may be one that could not be moved.
    if (!is_first && !among.decide()) co_return;
    among.failed = std::current_exception();
  }
  among.source.request_stop();
}

}  // namespace detail

// Runs all of them; when the first has ended the others are asked to stop, and are waited for.
// co_await gives a first_of, or throws what the first threw. A stop of the parent reaches them.
// Misuse: an empty vector is fatal.
template <class T>
task<first_of<detail::part<T>>> when_any(std::vector<task<T>> runners) {
  if (runners.empty()) base::fail_misuse("co::when_any", "there is no task to wait for");
  detail::race<T> among;
  const std::stop_token outer = co_await stop_token();
  const std::stop_callback passed_on(outer, [&among] { among.source.request_stop(); });
  std::vector<task<>> children;
  children.reserve(runners.size());
  for (std::size_t i = 0; i < runners.size(); ++i) {
    children.push_back(detail::run_in_race<T>(among, i, std::move(runners[i])));
  }
  co_await detail::vector_awaiter<void>(std::move(children), &among.token);
  if (among.failed) std::rethrow_exception(among.failed);
  co_return std::move(*among.won);
}
template <class T, class... More>
auto when_any(task<T> first, task<More>... more) requires(std::is_same_v<T, More>&&...) {
  std::vector<task<T>> runners;
  runners.reserve(1 + sizeof...(more));
  runners.push_back(std::move(first));
  (runners.push_back(std::move(more)), ...);
  return when_any(std::move(runners));
}

// Children that start when they are spawned and have ended when join() comes back. The first that
// throws asks the others to stop. Misuse is fatal: destroying a scope that was not joined.
class scope {
 public:
  scope() = default;
  // A stop of `outer` reaches the children.
  explicit scope(const std::stop_token& outer)
      : passed_on_(std::in_place, outer, stopper{source_}) {}
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;
  ~scope() {
    if (!running_.try_wait()) base::fail_misuse("co::scope::~scope", "it was not joined");
  }

  // Errors as spawn(). From any thread or task, but not after join() has come back.
  void spawn(task<> child) {
    running_.add();
    try {
      treadle::spawn(run(*this, std::move(child)), source_.get_token()).detach();
    } catch (...) {
      running_.done();
      throw;
    }
  }
  void request_stop() noexcept { source_.request_stop(); }
  std::stop_token stop_token() const noexcept { return source_.get_token(); }

  // co_await waits for all, then throws what the first threw.
  task<> join() {
    co_await wait(running_);
    if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
  }

 private:
  struct stopper {
    std::stop_source source;
    void operator()() noexcept { source.request_stop(); }
  };

  static task<> run(scope& home, task<> child) {
    try {
      co_await std::move(child);
    } catch (...) {
      home.fail(std::current_exception());
    }
    child = {};  // its frame goes before the scope may
    home.running_.done();
  }
  void fail(std::exception_ptr thrown) noexcept {
    if (!has_failed_.exchange(true, base::acq_rel)) {  // acq_rel: one writes, join() reads
      failed_ = std::move(thrown);
      source_.request_stop();
    }
  }

  std::stop_source source_;
  std::optional<std::stop_callback<stopper>> passed_on_;
  wait_group running_;
  base::atomic<bool> has_failed_{false};
  std::exception_ptr failed_;
};

}  // namespace treadle::co
