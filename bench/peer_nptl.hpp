// The peer "nptl": one kernel thread per thread, straight through pthread.h.
//
// With one worker the process is pinned to one CPU, with two to two; there is nothing else to set.
// Stacks are 256 KiB as Treadle's, and not the 8 MiB of the C library, which would only make it
// slower. A thread costs microseconds here, so this peer does less of everything.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace treadle::bench {

struct peer_nptl {
  using thread = pthread_t;
  static constexpr bool has_tasks = false;
  static constexpr long spawn_divisor = 200;
  static constexpr long step_divisor = 50;
  static constexpr long bulk_threads = 10'000;
  static constexpr long fib_argument = 15;
  static constexpr long skynet_leaves = 1'000;
  static constexpr std::size_t own_stack_bytes = std::size_t{256} << 10;

  template <class F>
  static pthread_t start(F&& f, const pthread_attr_t& attributes) {
    using body = std::decay_t<F>;
    auto owned = std::make_unique<body>(std::forward<F>(f));
    pthread_t handle{};
    const int error = pthread_create(
        &handle, &attributes,
        [](void* argument) -> void* {
          const std::unique_ptr<body> mine(static_cast<body*>(argument));
          (*mine)();
          return nullptr;
        },
        owned.get());
    if (error != 0) {
      throw std::system_error(error, std::generic_category(), "pthread_create, " + limit());
    }
    static_cast<void>(owned.release());  // the thread owns it now
    return handle;
  }

  template <class F>
  static thread spawn(F&& f) {
    return start(std::forward<F>(f), joinable);
  }

  template <class F>
  static void spawn_detached(F&& f) {
    start(std::forward<F>(f), detached);
  }

  static void join(thread& handle) { pthread_join(handle, nullptr); }
  static void yield() { sched_yield(); }
  static void sleep(std::chrono::microseconds span) { std::this_thread::sleep_for(span); }

  struct mutex {
    pthread_mutex_t native = PTHREAD_MUTEX_INITIALIZER;
    void lock() { pthread_mutex_lock(&native); }
    void unlock() { pthread_mutex_unlock(&native); }
  };

  struct shared_mutex {
    pthread_rwlock_t native = PTHREAD_RWLOCK_INITIALIZER;
    void lock_shared() { pthread_rwlock_rdlock(&native); }
    void unlock_shared() { pthread_rwlock_unlock(&native); }
  };

  // libc has no RCU: what one would take.
  struct read_mostly {
    pthread_rwlock_t native = PTHREAD_RWLOCK_INITIALIZER;
    void begin() { pthread_rwlock_rdlock(&native); }
    void end() { pthread_rwlock_unlock(&native); }
    void wait_for_readers() {
      pthread_rwlock_wrlock(&native);
      pthread_rwlock_unlock(&native);
    }
  };

  struct semaphore {
    sem_t native;
    semaphore() { sem_init(&native, 0, 0); }
    void acquire() {
      while (sem_wait(&native) != 0 && errno == EINTR) {
      }
    }
    void release() { sem_post(&native); }
  };

  // A mutex and two conditions. Without a buffer a sender also waits until its value was taken.
  class unbuffered {
   public:
    explicit unbuffered(std::size_t capacity) : ring_(capacity == 0 ? 1 : capacity) {
      waits_for_taker_ = capacity == 0;
    }
    void put(long value) {
      pthread_mutex_lock(&guard_);
      while (sent_ - taken_ == ring_.size()) pthread_cond_wait(&room_, &guard_);
      ring_[sent_++ % ring_.size()] = value;
      const std::size_t mine = sent_;
      pthread_cond_signal(&values_);
      while (waits_for_taker_ && taken_ < mine) pthread_cond_wait(&room_, &guard_);
      pthread_mutex_unlock(&guard_);
    }
    bool get(long& value) {
      pthread_mutex_lock(&guard_);
      while (sent_ == taken_ && !closed_) pthread_cond_wait(&values_, &guard_);
      const bool got = sent_ != taken_;
      if (got) value = ring_[taken_++ % ring_.size()];
      pthread_cond_signal(&room_);
      pthread_mutex_unlock(&guard_);
      return got;
    }
    void close() {
      pthread_mutex_lock(&guard_);
      closed_ = true;
      pthread_cond_broadcast(&values_);
      pthread_mutex_unlock(&guard_);
    }

   private:
    pthread_mutex_t guard_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t values_ = PTHREAD_COND_INITIALIZER;
    pthread_cond_t room_ = PTHREAD_COND_INITIALIZER;
    std::vector<long> ring_;
    std::size_t sent_ = 0;
    std::size_t taken_ = 0;
    bool waits_for_taker_ = false;
    bool closed_ = false;
  };
  using buffered = unbuffered;

  class scope {
   public:
    template <class F>
    void spawn(F&& f) {
      children_[count_++] = peer_nptl::spawn(std::forward<F>(f));
    }
    void join() {
      while (count_ != 0) peer_nptl::join(children_[--count_]);
    }

   private:
    std::array<thread, 10> children_{};  // the widest tree of the workloads
    std::size_t count_ = 0;
  };

  // A thread for each worker and equal shares, as one would write it by hand.
  template <class F>
  static void parallel_for(unsigned workers, long count, F&& f) {
    std::vector<std::thread> threads;
    for (unsigned share = 0; share < workers; ++share) {
      threads.emplace_back([=, &f] {
        const long last = count * (share + 1) / workers;
        for (long i = count * share / workers; i < last; ++i) f(i);
      });
    }
    for (std::thread& each : threads) each.join();
  }

  template <class F>
  static void enter(unsigned /*workers*/, std::size_t stack_bytes, F&& f) {
    const std::size_t bytes = stack_bytes != 0 ? stack_bytes : own_stack_bytes;
    pthread_attr_init(&joinable);
    pthread_attr_setstacksize(&joinable, bytes);
    pthread_attr_init(&detached);
    pthread_attr_setstacksize(&detached, bytes);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    // glibc leaves out the lock prefix while the process has one thread only. A program that uses
    // mutexes has more, so there is one more here, asleep.
    start([] { pause(); }, detached);
    f();
  }

 private:
  /// What stops it first, as a rule.
  static std::string limit() {
    std::string most = "unknown";
    std::ifstream("/proc/sys/kernel/pid_max") >> most;
    return "kernel.pid_max is " + most;
  }

  static inline pthread_attr_t joinable;
  static inline pthread_attr_t detached;
};

}  // namespace treadle::bench
