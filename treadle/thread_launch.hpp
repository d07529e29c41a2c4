// From a callable to a started thread: the doors between the templates of thread.hpp and
// thread.cpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"
#include "treadle/thread_attributes.hpp"
#include "treadle/wait_limit.hpp"

namespace treadle {

class runtime;

namespace detail {

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

  // Makes a `kept` of `parts`, once and where it stays, and starts a thread that calls it.
  template <class kept, class... Parts>
  static core::thread* start_made(core::scheduler_port& scheduler,
                                  const thread_attributes* attributes, Parts&&... parts) {
    core::small_closure words{};
    if constexpr (std::is_trivially_copyable_v<kept> && sizeof(kept) <= sizeof(words) &&
                  alignof(kept) <= alignof(core::small_closure)) {
      // An empty one is not worth a byte store, which would stall the loads of whole words.
      const kept closure(std::forward<Parts>(parts)...);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // padding, as an empty capture is, has no value
      if constexpr (!std::is_empty_v<kept>) std::memcpy(&words, &closure, sizeof(kept));
#pragma GCC diagnostic pop
      return start(
          scheduler, attributes,
          [](void* memory) noexcept { std::invoke(*static_cast<kept*>(memory)); }, words);
    } else {
      auto owned = std::make_unique<kept>(std::forward<Parts>(parts)...);
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
    const auto run = [&function]() noexcept { function(); };
    core::thread* made = start_made<decltype(run)>(scheduler_of(in), nullptr, run);
    join(made);
  }
};

// A callable with its arguments, decayed, called once as an rvalue; as std::thread does.
template <class F, class... Args>
struct bound_call {
  static_assert(std::is_invocable_v<F, Args...>,
                "a thread's arguments must be invocable after conversion to rvalues");
  std::tuple<F, Args...> parts;
  template <class Function, class... Values>
  explicit bound_call(std::in_place_t, Function&& function, Values&&... values)
      : parts(std::forward<Function>(function), std::forward<Values>(values)...) {}
  void operator()() {
    std::apply(
        [](F&& function, Args&&... args) { std::invoke(std::move(function), std::move(args)...); },
        std::move(parts));
  }
};

template <class F>
struct bound_call<F> {
  static_assert(std::is_invocable_v<F>,
                "a thread's function must be invocable after conversion to an rvalue");
  [[no_unique_address]] F function;  // an empty one leaves nothing to be kept
  template <class Function>
  explicit bound_call(std::in_place_t, Function&& from) : function(std::forward<Function>(from)) {}
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
  template <class... Parts>
  explicit stoppable_call(const std::stop_token& own, Parts&&... parts)
      : token(own), call(std::forward<Parts>(parts)...) {}
  void operator()() {
    const own_stop_token own(token);
    try {
      call();
    } catch (const cancelled&) {  // it has cleaned up, which is all that was asked for
    }
  }
};

}  // namespace detail

}  // namespace treadle
