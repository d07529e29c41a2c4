// The peer "boost.fiber": its default round robin with one worker, work stealing with two.
//
// Stacks are of its default size from its default allocator, which sets no guard page. It has no
// semaphore; one is made of its mutex and its condition variable. Fork-join uses launch::dispatch,
// which runs the child at once as Treadle's scope does. malloc is told to keep what it has, or the
// peer would spend most of its time giving stacks back to the kernel and asking for them again.
#pragma once

#include <malloc.h>

#include <array>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <thread>
#include <utility>

namespace treadle::bench {

struct peer_boost_fiber {
  using thread = boost::fibers::fiber;
  static constexpr bool has_tasks = false;
  static constexpr long spawn_divisor = 10;
  static constexpr long step_divisor = 6;
  static constexpr long bulk_threads = 100'000;
  static constexpr long fib_argument = 23;
  static constexpr long skynet_leaves = 100'000;

  template <class F>
  static thread start(boost::fibers::launch how, F&& f) {
    return {how, std::allocator_arg, boost::fibers::fixedsize_stack(chosen_stack_bytes),
            std::forward<F>(f)};
  }

  template <class F>
  static thread spawn(F&& f) {
    return start(boost::fibers::launch::post, std::forward<F>(f));
  }

  template <class F>
  static void spawn_detached(F&& f) {
    start(boost::fibers::launch::post, std::forward<F>(f)).detach();
  }

  static void join(thread& handle) { handle.join(); }
  static void yield() { boost::this_fiber::yield(); }
  static void sleep(std::chrono::microseconds span) { boost::this_fiber::sleep_for(span); }

  using mutex = boost::fibers::mutex;

  class semaphore {
   public:
    void acquire() {
      std::unique_lock<mutex> held(lock_);
      while (count_ == 0) more_.wait(held);
      --count_;
    }
    void release() {
      {
        const std::lock_guard<mutex> held(lock_);
        ++count_;
      }
      more_.notify_one();
    }

   private:
    mutex lock_;
    boost::fibers::condition_variable more_;
    long count_ = 0;
  };

  template <class Channel>
  struct channel_of : Channel {
    using Channel::Channel;
    void put(long value) { this->push(value); }
    bool get(long& value) { return this->pop(value) == boost::fibers::channel_op_status::success; }
  };
  struct unbuffered : channel_of<boost::fibers::unbuffered_channel<long>> {
    explicit unbuffered(std::size_t) {}
  };
  using buffered = channel_of<boost::fibers::buffered_channel<long>>;

  class scope {
   public:
    template <class F>
    void spawn(F&& f) {
      children_[count_++] = start(boost::fibers::launch::dispatch, std::forward<F>(f));
    }
    void join() {
      while (count_ != 0) children_[--count_].join();
    }

   private:
    std::array<thread, 10> children_;  // the widest tree of the workloads
    std::size_t count_ = 0;
  };

  // The second worker is left running: the process ends by _exit() when the figures are out.
  template <class F>
  static void enter(unsigned workers, std::size_t stack_bytes, F&& f) {
    if (stack_bytes != 0) chosen_stack_bytes = stack_bytes;
    mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc accepts
    mallopt(M_TRIM_THRESHOLD, -1);        // never
    if (workers == 2) {
      std::thread([] {
        boost::fibers::use_scheduling_algorithm<boost::fibers::algo::work_stealing>(2);
        mutex lock;
        boost::fibers::condition_variable never;
        std::unique_lock<mutex> held(lock);
        never.wait(held, [] { return false; });
      }).detach();
      boost::fibers::use_scheduling_algorithm<boost::fibers::algo::work_stealing>(2);
    }
    f();
  }

 private:
  static inline std::size_t chosen_stack_bytes =
      boost::fibers::default_stack::traits_type::default_size();
};

}  // namespace treadle::bench
