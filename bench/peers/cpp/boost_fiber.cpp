// The peer "boost.fiber": round robin and pooled_fixedsize_stack with one worker; with two work
// stealing, and fixedsize_stack, for the pool may not be used by two kernel threads at once. Fibers
// that only park have fixedsize_stack, too: the pool writes into each stack's first page, which is
// one more to pay for.
//
// The rest is bench/peer_boost_fiber.hpp: it has no semaphore, so that one is made of its mutex and
// its condition variable; fork-join uses launch::dispatch, which runs the child at once.
#include "../../peer_boost_fiber.hpp"

#include <boost/version.hpp>

#include "thread_workloads.hpp"

namespace treadle::bench {
namespace {

/// What both have beyond peer_boost_fiber. Start is how a fiber is made there.
template <class Start>
struct fibers : peer_boost_fiber {
  static constexpr auto read_at = &pread;  // it has no I/O of its own

  template <class F>
  static thread spawn(F&& f) {
    return Start::start(boost::fibers::launch::post, std::forward<F>(f));
  }
  template <class F>
  static void spawn_detached(F&& f) {
    Start::start(boost::fibers::launch::post, std::forward<F>(f)).detach();
  }

  class baton {
   public:
    void pass(int who) {
      {
        std::unique_lock<mutex> held(lock_);
        while (turn_ != who) changed_.wait(held);
        turn_ = 1 - who;
      }
      changed_.notify_one();
    }

   private:
    mutex lock_;
    boost::fibers::condition_variable changed_;
    int turn_ = 0;
  };

  class scope {
   public:
    template <class F>
    void spawn(F&& f) {
      children_[count_++] = Start::start(boost::fibers::launch::dispatch, std::forward<F>(f));
    }
    void join() {
      while (count_ != 0) children_[--count_].join();
    }

   private:
    std::array<thread, queens_size_max> children_;
    std::size_t count_ = 0;
  };
};

struct from_pool {
  static inline std::size_t bytes = boost::fibers::default_stack::traits_type::default_size();
  template <class F>
  static boost::fibers::fiber start(boost::fibers::launch how, F&& f) {
    // Made at the first call, in the one kernel thread that there is; copies share the pool.
    static boost::fibers::pooled_fixedsize_stack pool(bytes);
    return {how, std::allocator_arg, pool, std::forward<F>(f)};
  }
};

struct pooled_fibers : fibers<from_pool> {
  template <class F>
  static void enter(unsigned workers, std::size_t stack_bytes, F&& f) {
    if (stack_bytes != 0) from_pool::bytes = stack_bytes;
    peer_boost_fiber::enter(workers, 0, std::forward<F>(f));
  }
};

void measure(const order& asked) {
  if (asked.workers == 1 && !asked.workload.starts_with("parked_")) {
    measure_threads<pooled_fibers>(asked);
  } else {
    measure_threads<fibers<peer_boost_fiber>>(asked);
  }
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "Boost " BOOST_LIB_VERSION,
                                     treadle::bench::measure);
}
