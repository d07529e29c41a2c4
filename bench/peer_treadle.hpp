// The peers "treadle" (m:n) and "treadle-m:1": the public API and nothing else.
//
// The width is given to the runtime as well as set by the pinning, so that a change in how the
// width is detected cannot change what is measured.
#pragma once

#include <treadle/treadle.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace treadle::bench {

template <treadle::model Model>
struct peer_treadle {
  using thread = treadle::thread;
  using mutex = treadle::mutex;
  using shared_mutex = treadle::shared_mutex;
  using scope = treadle::scope;
  static constexpr bool has_tasks = true;
  static constexpr long spawn_divisor = 1;
  static constexpr long step_divisor = 1;
  static constexpr long bulk_threads = 100'000;
  static constexpr long fib_argument = 29;
  static constexpr long skynet_leaves = 1'000'000;

  template <class F>
  static thread spawn(F&& f) {
    return thread(std::forward<F>(f));
  }

  template <class F>
  static void spawn_detached(F&& f) {
    thread(std::forward<F>(f)).detach();
  }

  static void join(thread& handle) { handle.join(); }
  static void yield() { treadle::this_thread::yield(); }
  static void sleep(std::chrono::microseconds span) { treadle::this_thread::sleep_for(span); }

  struct semaphore : treadle::counting_semaphore<> {
    semaphore() : treadle::counting_semaphore<>(0) {}
  };

  struct read_mostly {
    [[gnu::always_inline]] static void begin() { treadle::rcu_default_domain().lock(); }
    [[gnu::always_inline]] static void end() { treadle::rcu_default_domain().unlock(); }
    static void wait_for_readers() { treadle::rcu_synchronize(); }
  };

  struct unbuffered : treadle::channel<long> {
    using treadle::channel<long>::channel;
    // Inlined, as the calls are that they wrap.
    [[gnu::always_inline]] void put(long value) { send(value); }
    [[gnu::always_inline]] bool get(long& value) {
      const auto got = receive();
      if (got) value = *got;
      return got.has_value();
    }
  };
  using buffered = unbuffered;

  // By a select over all four.
  template <class Channels>
  [[gnu::always_inline]] static void get_from_any(Channels& from, long& value) {
    const auto keep = [&value](const treadle::received<long>& got) { value = *got; };
    treadle::select(on_receive(from[0], keep), on_receive(from[1], keep), on_receive(from[2], keep),
                    on_receive(from[3], keep));
  }

  template <class F>
  static void parallel_for(unsigned /*workers*/, long count, F&& f) {
    treadle::parallel_for(0L, count, f);
  }

  // Never destroyed: the process ends by _exit() when the figures are out.
  template <class F>
  static void enter(unsigned workers, std::size_t stack_bytes, F&& f) {
    treadle::runtime_options options;
    options.model = Model;
    options.width = workers;
    if (stack_bytes != 0) options.stack_bytes = stack_bytes;
    auto* const runtime = new treadle::runtime(options);
    runtime->run(std::forward<F>(f));
  }
};

}  // namespace treadle::bench
