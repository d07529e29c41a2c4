// The runtime: which threading model, how many processors, how large the stacks.
//
// Most programs never name it: the default runtime starts at the first treadle::thread. Where a
// setting comes from, first hit wins:
//   1. the program: runtime_options given to a runtime, or to set_default_options();
//   2. the launch: `treadle run --model=... -- program`, which sets the variables below for it;
//   3. the environment: TREADLE_MODEL=m:1|1:1|m:n, TREADLE_WIDTH, TREADLE_STACK, TREADLE_GUARD
//      (bytes, with suffix K or M), TREADLE_BLOCKING_THREADS, TREADLE_IO (auto, uring or
//      pool for files, sockets=epoll or sockets=uring, or one of each with a comma between),
//      TREADLE_ACTIVATION=proc|perf|monitor|off, TREADLE_SLICE (a number with suffix us, ms or s,
//      or off);
//   4. m:n, the CPUs that affinity and cgroup leave to the process, 256 KiB, 4 KiB, 64, auto and
//      sockets=epoll, proc, 10 ms.
// Affinity (of the thread that makes the runtime) and the cgroup's quota are read when a runtime is
// made: a change is followed by the next one, not by one that runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "treadle/io/file_calls.hpp"
#include "treadle/io/socket_events.hpp"
#include "treadle/sched/activation.hpp"
#include "treadle/sched/scheduler.hpp"

namespace treadle {

enum class model { many_to_one, one_to_one, many_to_many };

// m:n: how the runtime finds out that a thread is blocked in the kernel without a blocking_region,
// so that the others go on: a kernel thread per processor that asks /proc, or reads a perf ring (of
// these two the other one stands in where the machine refuses the one that is asked for); one that
// looks every other millisecond; or none.
using activation = core::activation_level;

// "m:1", "1:1" or "m:n".
[[nodiscard]] std::string_view to_string(model which) noexcept;
// The reverse. std::invalid_argument names the setting, the value and what is allowed.
[[nodiscard]] model parse_model(std::string_view text);
// "262144", "256K" or "1M". std::invalid_argument as above, with `setting` as the name.
[[nodiscard]] std::size_t parse_bytes(std::string_view setting, std::string_view text);
// "perf", "proc", "monitor" or "off". std::invalid_argument as above.
[[nodiscard]] activation parse_activation(std::string_view setting, std::string_view text);
// "10ms", "500us", "1s" or "off", which is 0. std::invalid_argument as above.
[[nodiscard]] std::chrono::nanoseconds parse_slice(std::string_view setting, std::string_view text);
// A whole number of at least 1. std::invalid_argument as above.
[[nodiscard]] unsigned parse_width(std::string_view setting, std::string_view text);

// Bounds of stacks, sourced: PTHREAD_STACK_MIN of glibc, and its default for all threads.
inline constexpr std::size_t stack_bytes_min = 16 * 1024;
inline constexpr std::size_t stack_bytes_max = 8 * 1024 * 1024;
// Guess: a guard wider than this hides a frame that should be on the heap.
inline constexpr std::size_t guard_bytes_max = 1024 * 1024;
// Guess: a preemption costs some 10 us, and an hour is for ever.
inline constexpr std::chrono::nanoseconds slice_min = std::chrono::milliseconds(1);
inline constexpr std::chrono::nanoseconds slice_max = std::chrono::hours(1);
// Sourced: idle_workers has room for so many.
inline constexpr unsigned width_max = 1024;

// Unset fields are filled in as the file head says.
struct runtime_options {
  std::optional<treadle::model> model{};
  std::optional<unsigned> width{};           // m:n only: processors, 1 to width_max
  std::optional<std::size_t> stack_bytes{};  // of each thread, stack_bytes_min to stack_bytes_max
  std::optional<std::size_t> guard_bytes{};  // below each stack, 0 to guard_bytes_max
  // Kernel threads that make blocking calls (blocking.hpp), 1 to 4096. The process has one pool of
  // them: the runtime that starts last says how many.
  std::optional<unsigned> blocking_threads{};
  // Who makes calls on files that would block. As with blocking_threads.
  std::optional<io::file_calls> file_calls{};
  // m:1 and m:n: through what threads wait for sockets, pipes and the like.
  std::optional<io::socket_events> socket_events{};
  std::optional<treadle::activation> activation{};  // m:n only
  // m:n only: how long a thread may compute while others wait; 0 (never preempted), or slice_min
  // to slice_max. Never preempted either while activation is off.
  std::optional<std::chrono::nanoseconds> slice{};
};

// The same with every field filled in and checked. std::invalid_argument names the setting, the
// value and what is allowed.
struct runtime_settings {
  treadle::model model;
  unsigned width;
  std::size_t stack_bytes;
  std::size_t guard_bytes;
  unsigned blocking_threads;
  io::file_calls file_calls;
  io::socket_events socket_events;
  treadle::activation activation;
  std::chrono::nanoseconds slice;
};
[[nodiscard]] runtime_settings resolve(const runtime_options& options);

using runtime_counters = core::scheduler_counters;

namespace detail {
struct launch;
}

class runtime {
 public:
  // Starts the workers. std::invalid_argument for bad settings, std::system_error when the kernel
  // refuses memory or threads; nothing is left behind then.
  explicit runtime(runtime_options options = {});
  // Waits until all threads that were started in it have ended, then ends the workers. Blocks the
  // calling kernel thread. Misuse: from one of its own threads.
  ~runtime();
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  // Runs `function` as a thread of this runtime and waits for it; gives back what it returns or
  // throws. Parks the caller.
  template <class F>
  auto run(F&& function) -> std::invoke_result_t<F&>;

  treadle::model model() const noexcept { return settings_.model; }
  // Threads that can run at the same time.
  unsigned width() const noexcept { return process_scope_->width(); }
  std::size_t stack_bytes() const noexcept { return settings_.stack_bytes; }
  std::size_t guard_bytes() const noexcept { return settings_.guard_bytes; }
  // Sums over all processors; each number is a moment's, together they are not one.
  runtime_counters counters() const noexcept;

  // What is used for sockets: epoll where the kernel refuses io_uring.
  io::socket_events socket_events() const noexcept { return settings_.socket_events; }
  // Why the kernel refuses it: an errno, or 0.
  int socket_events_refusal() const noexcept { return socket_events_refusal_; }

  // m:n: what of activation and slice could be had, and why not more. Other models: off.
  const core::activation_report& activation() const noexcept;

  // The runtime of the calling thread, or else the default one, started now if need be.
  static runtime& current();
  // For the default runtime, before its first use; std::logic_error after it.
  static void set_default_options(runtime_options options);

 private:
  friend struct detail::launch;
  struct schedulers;
  struct default_tag {};
  runtime(runtime_options options, default_tag);
  void open(bool on_this_thread);
  void adopt_schedulers() noexcept;
  void open_events();
  void open_tasks();
  static runtime& default_runtime();

  runtime_settings settings_;
  int socket_events_refusal_ = 0;
  std::unique_ptr<schedulers> schedulers_;
  core::scheduler_port* process_scope_ = nullptr;
  core::scheduler_port* system_scope_ = nullptr;
};

}  // namespace treadle

#include "treadle/thread.hpp"

namespace treadle {

template <class F>
auto runtime::run(F&& function) -> std::invoke_result_t<F&> {
  using result = std::invoke_result_t<F&>;
  std::exception_ptr thrown;
  if constexpr (std::is_void_v<result>) {
    detail::launch::run_in(*this, [&] {
      try {
        function();
      } catch (...) {
        thrown = std::current_exception();
      }
    });
    if (thrown) std::rethrow_exception(thrown);
  } else {
    // A reference is kept as a pointer, anything else as it is.
    using kept = std::conditional_t<std::is_reference_v<result>,
                                    std::add_pointer_t<std::remove_reference_t<result>>, result>;
    std::optional<kept> value;
    detail::launch::run_in(*this, [&] {
      try {
        if constexpr (std::is_reference_v<result>) {
          value.emplace(&function());
        } else {
          value.emplace(function());
        }
      } catch (...) {
        thrown = std::current_exception();
      }
    });
    if (thrown) std::rethrow_exception(thrown);
    if constexpr (std::is_reference_v<result>) {
      return static_cast<result>(**value);
    } else {
      return std::move(*value);
    }
  }
}

}  // namespace treadle
