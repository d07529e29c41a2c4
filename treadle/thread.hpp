// Threads, shaped like <thread>: thread, jthread, this_thread, and attributes that std lacks.
//
// A thread that is made inside runtime::run() belongs to that runtime, any other to the default
// one. What it runs may block, throw inside, and use every primitive of the library; C++
// thread_local variables are the worker's and not the thread's: use thread_specific.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <stop_token>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

class runtime;
class thread;

using core::priority;
// free, fresh, ready, running, parked, finished.
using core::thread_state;

using std::nostopstate;
using std::nostopstate_t;
using std::stop_callback;
using std::stop_source;
using std::stop_token;

// POSIX's words: process scope shares the runtime's processors, system scope has a kernel thread
// of its own, whatever the model.
enum class contention_scope { process, system };

struct thread_attributes {
  std::string_view name = {};   // up to 31 bytes are kept; for reports and debuggers
  std::size_t stack_bytes = 0;  // 0: the runtime's; else stack_bytes_min to stack_bytes_max
  contention_scope scope = contention_scope::process;
  treadle::priority priority = treadle::priority::normal;
};

// Thrown by cancellation points (treadle/lifecycle.hpp) in a thread that was asked to stop, so that
// it cleans up on its way out; a jthread that it leaves ends as if it had returned. It is no
// std::exception, lest a handler for errors takes it for one.
class cancelled {};

namespace this_thread {
class id_maker;
}

namespace detail {

// The doors between the templates here and runtime.cpp.
struct launch {
  // Checks the attributes; std::invalid_argument as runtime_options.
  static core::scheduler_port& scheduler_for(const thread_attributes& attributes);
  static core::scheduler_port& scheduler_of(runtime& in) noexcept;
  // Where threads without attributes start.
  static core::scheduler_port& scheduler_for_children() {
    core::scheduler_port* own = core::current_thread().scheduler->for_children;
    return own != nullptr ? *own : default_scheduler();
  }
  static core::scheduler_port& default_scheduler();
  // std::system_error as std::thread: the resources are not available at this time.
  [[noreturn]] static void fail(int error);
  // A started thread, or std::system_error. Null attributes are the default ones.
  static core::thread* start(core::scheduler_port& scheduler, const thread_attributes* attributes,
                             core::closure_function entry, core::small_closure closure) {
    if (attributes != nullptr) return start_with(*attributes, scheduler, entry, closure);
    int error;
    core::thread* made = scheduler.spawn(entry, closure, error);
    if (made == nullptr) [[unlikely]]
      fail(error);
    return made;
  }
  static core::thread* start_with(const thread_attributes& attributes,
                                  core::scheduler_port& scheduler, core::closure_function entry,
                                  core::small_closure closure);
  // std::system_error as std::thread::join.
  static void check_joinable(const core::thread* which, const core::thread& self) {
    if (which == nullptr || which == &self) [[unlikely]]
      fail_to_join(which);
  }
  [[noreturn]] static void fail_to_join(const core::thread* which);
  static void join(core::thread*& which) {
    core::thread& self = core::current_thread();
    check_joinable(which, self);
    self.scheduler->join(*which);
    which = nullptr;
  }
  static bool try_join(core::thread*& which, const wait_limit& limit);  // the same; false: it runs
  static void detach(core::thread*& which);  // std::system_error as std::thread::detach
  // std::system_error with invalid_argument for a null one.
  static bool set_priority(core::thread* which, core::priority wanted);
  static core::thread_level level_of(const core::thread* which);
  static core::thread_state state_of(const core::thread* which);

  template <class Closure>
  static core::thread* start_closure(core::scheduler_port& scheduler,
                                     const thread_attributes* attributes, Closure&& closure) {
    using kept = std::remove_cvref_t<Closure>;
    core::small_closure words{};
    if constexpr (std::is_trivially_copyable_v<kept> && sizeof(kept) <= sizeof(words) &&
                  alignof(kept) <= alignof(core::small_closure)) {
      // An empty one is not worth a byte store, which would stall the loads of whole words.
      if constexpr (!std::is_empty_v<kept>) std::memcpy(&words, &closure, sizeof(kept));
      return start(
          scheduler, attributes,
          [](void* memory) noexcept { std::invoke(*static_cast<kept*>(memory)); }, words);
    } else {
      auto owned = std::make_unique<kept>(std::forward<Closure>(closure));
      words.words[0] = reinterpret_cast<std::uintptr_t>(owned.get());
      core::thread* made = start(
          scheduler, attributes,
          [](void* memory) noexcept {
            const auto word = static_cast<core::small_closure*>(memory)->words[0];
            const std::unique_ptr<kept> mine(reinterpret_cast<kept*>(word));
            std::invoke(*mine);
          },
          words);
      static_cast<void>(owned.release());
      return made;
    }
  }

  template <class F>
  static void run_in(runtime& in, F&& function) {
    core::thread* made =
        start_closure(scheduler_of(in), nullptr, [&function]() noexcept { function(); });
    join(made);
  }
};

// A callable with its arguments, decayed, called once as an rvalue; as std::thread does.
template <class F, class... Args>
struct bound_call {
  std::tuple<F, Args...> parts;
  void operator()() {
    std::apply(
        [](F&& function, Args&&... args) { std::invoke(std::move(function), std::move(args)...); },
        std::move(parts));
  }
};

template <class F>
struct bound_call<F> {
  F function;
  void operator()() { std::invoke(std::move(function)); }
};

// Makes `token` the calling thread's own for a block.
class own_stop_token {
 public:
  explicit own_stop_token(const std::stop_token& token) noexcept;
  ~own_stop_token();
  own_stop_token(const own_stop_token&) = delete;
  own_stop_token& operator=(const own_stop_token&) = delete;

 private:
  const std::stop_token* before_;
};

// What a jthread runs.
template <class Call>
struct stoppable_call {
  std::stop_token token;
  Call call;
  void operator()() {
    const own_stop_token own(token);
    try {
      call();
    } catch (const cancelled&) {  // it has cleaned up, which is all that was asked for
    }
  }
};

}  // namespace detail

// A thread of the runtime. Construction starts it; destroying a joinable one calls
// std::terminate(), as does an exception that leaves the function.
// Happens-before: construction before the function, the function's end before join() returns.
// Errors: std::system_error with resource_unavailable_try_again when memory or kernel threads are
// refused; join: invalid_argument when not joinable, resource_deadlock_would_occur on itself.
// Source: std::thread.
class thread {
 public:
  class id {
   public:
    constexpr id() noexcept = default;
    friend constexpr bool operator==(id, id) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(id, id) noexcept = default;
    template <class Char, class Traits>
    friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                                        id which) {
      if (which.number_ == 0) return out << "thread::id of a non-executing thread";
      return out << which.number_;
    }

   private:
    friend class thread;
    friend struct std::hash<id>;
    friend class this_thread::id_maker;
    constexpr explicit id(std::uint32_t number) noexcept : number_(number) {}
    std::uint32_t number_ = 0;
  };

  thread() noexcept = default;

  template <class F, class... Args>
  requires(
      !std::is_same_v<std::remove_cvref_t<F>, thread> &&
      !std::is_same_v<std::remove_cvref_t<F>, thread_attributes>) explicit thread(F&& function,
                                                                                  Args&&... args)
      : record_(detail::launch::start_closure(
            detail::launch::scheduler_for_children(), nullptr,
            bind(std::forward<F>(function), std::forward<Args>(args)...))) {}

  template <class F, class... Args>
  thread(const thread_attributes& attributes, F&& function, Args&&... args)
      : record_(detail::launch::start_closure(
            detail::launch::scheduler_for(attributes), &attributes,
            bind(std::forward<F>(function), std::forward<Args>(args)...))) {}

  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  thread(thread&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  thread& operator=(thread&& other) noexcept {
    if (joinable()) std::terminate();
    record_ = std::exchange(other.record_, nullptr);
    return *this;
  }
  ~thread() {
    if (joinable()) std::terminate();
  }

  bool joinable() const noexcept { return record_ != nullptr; }
  // Parks the caller until the thread has ended.
  void join() { detail::launch::join(record_); }
  // The same within a limit. False when that came first: the thread runs on and is still joinable.
  bool try_join(const wait_limit& limit) { return detail::launch::try_join(record_, limit); }
  void detach() { detail::launch::detach(record_); }
  id get_id() const noexcept { return record_ != nullptr ? id(record_->id) : id(); }
  // What the thread was given, by its attributes or since; and what it runs at: that, or more while
  // others wait for a priority_inheritance_mutex of its. std::system_error when not joinable.
  treadle::priority priority() const { return detail::launch::level_of(record_).own; }
  treadle::priority effective_priority() const {
    return detail::launch::level_of(record_).effective;
  }
  // A moment's: where the thread was just now. std::system_error when not joinable.
  thread_state state() const { return detail::launch::state_of(record_); }
  // At the latest when the thread is next made ready. False when the kernel refuses it, which only
  // a thread with a kernel thread of its own can tell: then only inheriting mutexes go by it.
  bool set_priority(treadle::priority wanted) {
    return detail::launch::set_priority(record_, wanted);
  }
  void swap(thread& other) noexcept { std::swap(record_, other.record_); }
  friend void swap(thread& a, thread& b) noexcept { a.swap(b); }

  // The CPUs that affinity and cgroup limits leave to the process; at least 1.
  static unsigned hardware_concurrency() noexcept;

 private:
  friend class jthread;

  template <class F, class... Args>
  static auto bind(F&& function, Args&&... args) {
    static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>,
                  "a thread's arguments must be invocable after conversion to rvalues");
    return detail::bound_call<std::decay_t<F>, std::decay_t<Args>...>{
        {std::forward<F>(function), std::forward<Args>(args)...}};
  }

  friend struct co::access;
  core::thread* record_ = nullptr;
};

// A thread that is asked to stop and joined when it is destroyed. While its function runs, its
// token is also what this_thread::stop_token() gives. Source: std::jthread.
class jthread {
 public:
  using id = thread::id;

  jthread() noexcept : source_(std::nostopstate) {}
  template <class F, class... Args>
  requires(
      !std::is_same_v<std::remove_cvref_t<F>, jthread> &&
      !std::is_same_v<std::remove_cvref_t<F>, thread_attributes>) explicit jthread(F&& function,
                                                                                   Args&&... args)
      : jthread(thread_attributes{}, std::forward<F>(function), std::forward<Args>(args)...) {}
  template <class F, class... Args>
  jthread(const thread_attributes& attributes, F&& function, Args&&... args)
      : thread_(
            start(attributes, source_, std::forward<F>(function), std::forward<Args>(args)...)) {}
  jthread(const jthread&) = delete;
  jthread& operator=(const jthread&) = delete;
  jthread(jthread&&) noexcept = default;
  jthread& operator=(jthread&& other) noexcept {
    jthread(std::move(other)).swap(*this);
    return *this;
  }
  ~jthread() {
    if (joinable()) {
      request_stop();
      join();
    }
  }

  bool joinable() const noexcept { return thread_.joinable(); }
  void join() { thread_.join(); }
  bool try_join(const wait_limit& limit) { return thread_.try_join(limit); }
  void detach() { thread_.detach(); }
  id get_id() const noexcept { return thread_.get_id(); }
  thread_state state() const { return thread_.state(); }
  treadle::priority priority() const { return thread_.priority(); }
  treadle::priority effective_priority() const { return thread_.effective_priority(); }
  bool set_priority(treadle::priority wanted) { return thread_.set_priority(wanted); }
  std::stop_source get_stop_source() noexcept { return source_; }
  std::stop_token get_stop_token() const noexcept { return source_.get_token(); }
  bool request_stop() noexcept { return source_.request_stop(); }
  void swap(jthread& other) noexcept {
    std::swap(source_, other.source_);
    thread_.swap(other.thread_);
  }
  friend void swap(jthread& a, jthread& b) noexcept { a.swap(b); }
  static unsigned hardware_concurrency() noexcept { return thread::hardware_concurrency(); }

 private:
  template <class F, class... Args>
  static thread start(const thread_attributes& attributes, std::stop_source& source, F&& function,
                      Args&&... args) {
    if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<Args>...>) {
      return start_bound(
          attributes, source,
          thread::bind(std::forward<F>(function), source.get_token(), std::forward<Args>(args)...));
    } else {
      return start_bound(attributes, source,
                         thread::bind(std::forward<F>(function), std::forward<Args>(args)...));
    }
  }
  template <class Call>
  static thread start_bound(const thread_attributes& attributes, std::stop_source& source,
                            Call&& call) {
    return thread(attributes,
                  detail::stoppable_call<Call>{source.get_token(), std::forward<Call>(call)});
  }

  friend struct co::access;
  std::stop_source source_;
  thread thread_;
};

namespace this_thread {

class id_maker {
 public:
  static thread::id current() noexcept { return thread::id(core::current_thread().id); }
};

inline thread::id get_id() noexcept { return id_maker::current(); }

// Lets other ready threads of this processor run; returns at once when there are none.
inline void yield() noexcept { core::current_thread().scheduler->yield(); }

// What thread_attributes gave; "main" or "foreign" for adopted kernel threads; else empty. Valid
// while the calling thread lives.
std::string_view name() noexcept;

// At most 31 bytes are kept; for reports and debuggers.
void set_name(std::string_view text) noexcept;

// The calling thread's; see thread.
treadle::priority priority() noexcept;
treadle::priority effective_priority() noexcept;
bool set_priority(treadle::priority wanted) noexcept;

// The calling thread's own token: a jthread's, or in a child of a scope its parent's; else an empty
// one. A stop asked for through it ends the calls of <treadle/io.hpp> and interruptible sleeps.
std::stop_token stop_token() noexcept;

// While one lives the calling thread's own token is an empty one, so that no stop ends what it
// does: for what is left to do after a stop, as writing a last line. To be destroyed by the thread
// that made it, in the reverse order.
class [[nodiscard]] stop_shield {
 public:
  stop_shield() noexcept : nothing_(none_) {}

 private:
  const std::stop_token none_;
  const treadle::detail::own_stop_token nothing_;
};

namespace detail {
// False when a stop was asked for, of `stop` or of the thread's own token.
bool sleep(base::deadline until, const std::stop_token& stop) noexcept;

inline void sleep(base::deadline until) noexcept {
  core::scheduler_port& scheduler = *core::current_thread().scheduler;
  // A stray token ends a park early, never a sleep. One park at least: also a sleep of no length
  // lets others run.
  do {
    static_cast<void>(scheduler.park(core::wait_reason::sleep, until));
  } while (!until.has_passed());
}
}  // namespace detail

// Parks the thread for at least that long on the monotonic clock. Not a cancellation point.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& span) {
  detail::sleep(base::deadline::after(span));
}

// For clocks other than steady_clock the time is converted, again after each wake-up.
template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& point) {
  while (Clock::now() < point) detail::sleep(base::deadline::of(point));
}

// Interruptible sleeps: the same, but false as soon as a stop is asked for, of `stop` or of the
// thread's own token; at once when that has happened already. True is never early.
template <class Rep, class Period>
bool sleep_for(const std::chrono::duration<Rep, Period>& span, const std::stop_token& stop) {
  return detail::sleep(base::deadline::after(span), stop);
}
template <class Clock, class Duration>
bool sleep_until(const std::chrono::time_point<Clock, Duration>& point,
                 const std::stop_token& stop) {
  // Once at least: a stop is seen also when the time is over.
  do {
    if (!detail::sleep(base::deadline::of(point), stop)) return false;
  } while (Clock::now() < point);
  return true;
}

}  // namespace this_thread
}  // namespace treadle

template <>
struct std::hash<treadle::thread::id> {
  std::size_t operator()(treadle::thread::id which) const noexcept {
    return std::hash<std::uint32_t>{}(which.number_);
  }
};
