// The peer "nptl": a kernel thread a thread. bench/peer_nptl.hpp says what is set.
#include "../../peer_nptl.hpp"

#include <gnu/libc-version.h>

#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"
#include "thread_workloads.hpp"

namespace treadle::bench {
namespace {

struct kernel_threads : peer_nptl {
  static constexpr auto read_at = &pread;

  class baton {
   public:
    void pass(int who) {
      pthread_mutex_lock(&lock_);
      while (turn_ != who) pthread_cond_wait(&changed_, &lock_);
      turn_ = 1 - who;
      pthread_mutex_unlock(&lock_);
      pthread_cond_signal(&changed_);
    }

   private:
    pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed_ = PTHREAD_COND_INITIALIZER;
    int turn_ = 0;
  };

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
    std::array<thread, queens_size_max> children_{};
    std::size_t count_ = 0;
  };
};

template <class Session>
void attend(int peer) {
  Session session;
  no_delay(peer);
  while (!session.ends()) {
    const std::span<char> room = session.room();
    const ssize_t got = read(peer, room.data(), room.size());
    if (got <= 0) break;
    session.take(static_cast<std::size_t>(got));
    const std::string_view output = session.output();
    if (output.empty()) continue;
    const ssize_t sent = write(peer, output.data(), output.size());
    if (sent != static_cast<ssize_t>(output.size())) break;
  }
  close(peer);
}

template <class Session>
void serve() {
  const int door = listen_and_say();
  for (;;) {
    const int peer = accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer >= 0) kernel_threads::spawn_detached([peer] { attend<Session>(peer); });
  }
}

void measure(const order& asked) {
  if (asked.workload == "echo") kernel_threads::enter(asked.workers, 0, serve<echo_session>);
  if (asked.workload == "http") kernel_threads::enter(asked.workers, 0, serve<http_session>);
  measure_threads<kernel_threads>(asked);
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  using namespace treadle::bench;
  const std::string version = std::string("glibc ") + gnu_get_libc_version();
  return run_program(argc, argv, version, measure);
}
