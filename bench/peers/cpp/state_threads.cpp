// The peer "state-threads": libst, one kernel thread for all, so one worker only.
//
// Threads are never preempted, so its condition variables need no mutex: a semaphore is a count and
// a condition. It has no channels. Its yield is st_sleep(0), as its own programmer's notes say.
// Stacks of 64 KiB, its default, which it keeps for the next thread.
#include <st.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"
#include "thread_workloads.hpp"

namespace treadle::bench {
namespace {

struct state_threads {
  using thread = st_thread_t;

  template <class F>
  static st_thread_t start(F&& f, int joinable) {
    using body = std::decay_t<F>;
    auto owned = std::make_unique<body>(std::forward<F>(f));
    const st_thread_t made = st_thread_create(
        [](void* argument) -> void* {
          const std::unique_ptr<body> mine(static_cast<body*>(argument));
          (*mine)();
          return nullptr;
        },
        owned.get(), joinable, 0);
    if (made == nullptr) {
      throw std::system_error(errno, std::generic_category(), "st_thread_create");
    }
    static_cast<void>(owned.release());  // the thread owns it now
    return made;
  }

  template <class F>
  static thread spawn(F&& f) {
    return start(std::forward<F>(f), 1);
  }
  template <class F>
  static void spawn_detached(F&& f) {
    start(std::forward<F>(f), 0);
  }
  static void join(thread handle) { st_thread_join(handle, nullptr); }
  static void yield() { st_sleep(0); }
  static void sleep(std::chrono::microseconds span) {
    // It counts from when its scheduler last looked at the clock, and so may wake early.
    using clock = std::chrono::steady_clock;
    const clock::time_point end = clock::now() + span;
    for (auto left = clock::duration(span); left.count() > 0; left = end - clock::now()) {
      const auto rounded_up = std::chrono::ceil<std::chrono::microseconds>(left);
      st_usleep(static_cast<st_utime_t>(rounded_up.count()));
    }
  }
  static constexpr auto read_at = &pread;

  struct mutex {
    st_mutex_t native = st_mutex_new();
    void lock() { st_mutex_lock(native); }
    void unlock() { st_mutex_unlock(native); }
  };

  class semaphore {
   public:
    void acquire() {
      while (count_ == 0) st_cond_wait(more_);
      --count_;
    }
    void release() {
      ++count_;
      st_cond_signal(more_);
    }

   private:
    st_cond_t more_ = st_cond_new();
    long count_ = 0;
  };

  class baton {
   public:
    void pass(int who) {
      while (turn_ != who) st_cond_wait(changed_);
      turn_ = 1 - who;
      st_cond_signal(changed_);
    }

   private:
    st_cond_t changed_ = st_cond_new();
    int turn_ = 0;
  };

  class scope {
   public:
    template <class F>
    void spawn(F&& f) {
      children_[count_++] = state_threads::spawn(std::forward<F>(f));
    }
    void join() {
      while (count_ != 0) state_threads::join(children_[--count_]);
    }

   private:
    std::array<thread, queens_size_max> children_{};
    std::size_t count_ = 0;
  };

  template <class F>
  static void enter(unsigned workers, std::size_t /*stack_bytes: 64 KiB is its own*/, F&& f) {
    if (workers != 1) throw std::runtime_error("has one kernel thread only");
    if (st_init() != 0) throw std::system_error(errno, std::generic_category(), "st_init");
    f();
  }
};

/// As park_many(), woken by one broadcast: a signal walks over those that it has woken before and
/// that have not run yet, so that a signal each would take a minute for 100,000.
repetition park_behind_a_condition(long threads) {
  const st_cond_t gate = st_cond_new();
  bool open = false;
  long arrived = 0;
  long left = 0;
  const double before = resident_bytes();
  const stopwatch watch;
  for (long made = 0; made < threads; ++made) {
    state_threads::spawn_detached([&, gate] {
      ++arrived;
      while (!open) st_cond_wait(gate);
      ++left;
    });
  }
  while (arrived < threads) state_threads::yield();
  repetition result = watch.stop(static_cast<double>(threads));
  result.bytes = resident_bytes() - before;
  open = true;
  st_cond_broadcast(gate);
  while (left < threads) state_threads::yield();
  return result;
}

template <class Session>
void attend(st_netfd_t peer) {
  Session session;
  no_delay(st_netfd_fileno(peer));
  while (!session.ends()) {
    const std::span<char> room = session.room();
    const ssize_t got = st_read(peer, room.data(), room.size(), ST_UTIME_NO_TIMEOUT);
    if (got <= 0) break;
    session.take(static_cast<std::size_t>(got));
    const std::string_view output = session.output();
    if (output.empty()) continue;
    const ssize_t sent = st_write(peer, output.data(), output.size(), ST_UTIME_NO_TIMEOUT);
    if (sent != static_cast<ssize_t>(output.size())) break;
  }
  st_netfd_close(peer);
}

template <class Session>
void serve() {
  const st_netfd_t door = st_netfd_open_socket(listen_and_say());
  for (;;) {
    const st_netfd_t peer = st_accept(door, nullptr, nullptr, ST_UTIME_NO_TIMEOUT);
    if (peer != nullptr) state_threads::spawn_detached([peer] { attend<Session>(peer); });
  }
}

void measure(const order& asked) {
  if (asked.workload == "echo") state_threads::enter(asked.workers, 0, serve<echo_session>);
  if (asked.workload == "http") state_threads::enter(asked.workers, 0, serve<http_session>);
  if (!asked.workload.starts_with("parked_")) {
    measure_threads<state_threads>(asked);
    return;
  }
  state_threads::enter(asked.workers, 0, [&] {
    report(
        asked, [&] { return park_behind_a_condition(asked.count); }, true);
  });
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  // The best that the library was built with. Debian's has no epoll, which it does not say; then
  // its select would be taken, which ends at 1,024 descriptors.
  st_set_eventsys(ST_EVENTSYS_ALT);
  if (*st_get_eventsys_name() == '\0') st_set_eventsys(ST_EVENTSYS_POLL);
  const std::string version =
      std::string("State Threads " ST_VERSION ", ") + st_get_eventsys_name();
  return treadle::bench::run_program(argc, argv, version, treadle::bench::measure);
}
