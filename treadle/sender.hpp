// The scheduler of a runtime's tasks in the shape of C++26 senders, for adapters.
//
//   auto s = treadle::task_scheduler();                  // of the caller's runtime
//   auto operation = connect(s.schedule(), receiver);    // a place for it is the caller's
//   operation.start();                                   // -> receiver.set_value() on a carrier
//
// schedule() is a sender that completes on a carrier: by set_value() of its receiver, by
// set_stopped() when the token of the receiver's environment asks for a stop before that, or by
// set_error(std::exception_ptr) when no carrier can be started. The operation must live until it
// has completed; it allocates nothing but a record. task<T> is itself a sender of one value through
// as_sender(), which runs it on the carriers: its exception is set_error(), and the token is given
// to the task as its own.
// Names and shapes are those of [exec]: sender_concept, completion_signatures are left to the
// adapter, for there is no <execution> here to take them from. docs/tasks.md shows an adapter.
// Source: P2300R10, "std::execution".
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>

#include "treadle/task.hpp"

namespace treadle {

// What receives the end of an operation; get_env() and get_stop_token() may be missing.
template <class R>
concept receiver = std::move_constructible<R> && requires(R r, std::exception_ptr thrown) {
  { std::move(r).set_stopped() }
  noexcept;
  { std::move(r).set_error(std::move(thrown)) }
  noexcept;
};

namespace detail {

template <class R>
std::stop_token stop_token_of(const R& of) {
  if constexpr (requires { of.get_env().get_stop_token(); }) {
    return of.get_env().get_stop_token();
  } else {
    return {};
  }
}

template <class R>
class schedule_operation {
 public:
  schedule_operation(tasks::engine& in, R to) : in_(in), to_(std::move(to)) {}
  schedule_operation(const schedule_operation&) = delete;
  schedule_operation& operator=(const schedule_operation&) = delete;

  void start() & noexcept {
    core::thread* const record = in_.make_record();
    if (record == nullptr) return fail(std::make_exception_ptr(std::bad_alloc()));
    record->begin_with(&schedule_operation::run, {{reinterpret_cast<std::uintptr_t>(this), 0}});
    record_ = record;
    const int error = in_.start(*record);
    if (error == 0) return;
    tasks::engine::free_record(*record);
    fail(std::make_exception_ptr(std::system_error(error, std::generic_category())));
  }

 private:
  void fail(std::exception_ptr why) noexcept { std::move(to_).set_error(std::move(why)); }

  // On a carrier. The operation may be gone when its receiver has been told.
  static void run(void* memory) noexcept {
    auto& mine = *static_cast<schedule_operation*>(memory);
    core::thread& record = *mine.record_;
    record.completion.begin_detached();  // nobody joins it
    record.begin_with([](void*) {}, {});
    tasks::engine::end_at_once(record);
    if (stop_token_of(mine.to_).stop_requested()) {
      std::move(mine.to_).set_stopped();
    } else {
      std::move(mine.to_).set_value();
    }
  }

  tasks::engine& in_;
  R to_;
  core::thread* record_ = nullptr;
};

template <class T, class R>
class task_operation {
 public:
  task_operation(task<T> what, R to) : what_(std::move(what)), to_(std::move(to)) {}
  task_operation(const task_operation&) = delete;
  task_operation& operator=(const task_operation&) = delete;

  void start() & noexcept {
    try {
      spawn(run(*this), stop_token_of(to_)).detach();
    } catch (...) {
      std::move(to_).set_error(std::current_exception());
    }
  }

 private:
  // The receiver is told last: the operation may be gone then.
  static task<> run(task_operation& mine) {
    std::exception_ptr thrown;
    if constexpr (std::is_void_v<T>) {
      try {
        co_await std::move(mine.what_);
      } catch (...) {
        thrown = std::current_exception();
      }
      if (!thrown) co_return std::move(mine.to_).set_value();
    } else {
      // optional holds no reference.
      using kept = std::conditional_t<std::is_reference_v<T>,
                                      std::reference_wrapper<std::remove_reference_t<T>>, T>;
      std::optional<kept> value;
      try {
        value.emplace(co_await std::move(mine.what_));
      } catch (...) {
        thrown = std::current_exception();
      }
      if (!thrown) co_return std::move(mine.to_).set_value(static_cast<T&&>(*value));
    }
    std::move(mine.to_).set_error(std::move(thrown));
  }

  task<T> what_;
  R to_;
};

}  // namespace detail

// Of one runtime; equal when of the same.
class task_scheduler {
 public:
  struct sender {
    tasks::engine* in;

    template <receiver R>
    auto connect(R to) const {
      return detail::schedule_operation<R>(*in, std::move(to));
    }
  };

  // Of the caller's runtime, or of the default one.
  task_scheduler() : in_(&detail::task_access::engine_here()) {}

  sender schedule() const noexcept { return {in_}; }
  friend bool operator==(const task_scheduler&, const task_scheduler&) noexcept = default;

 private:
  tasks::engine* in_;
};

template <class T>
class task_sender {
 public:
  explicit task_sender(task<T> what) noexcept : what_(std::move(what)) {}
  template <receiver R>
  auto connect(R to) && {
    return detail::task_operation<T, R>(std::move(what_), std::move(to));
  }

 private:
  task<T> what_;
};

template <class T>
task_sender<T> as_sender(task<T> what) noexcept {
  return task_sender<T>(std::move(what));
}

// As std::execution's: the member function of the sender.
template <class Sender, receiver R>
auto connect(Sender&& from, R to) {
  return std::forward<Sender>(from).connect(std::move(to));
}

}  // namespace treadle
