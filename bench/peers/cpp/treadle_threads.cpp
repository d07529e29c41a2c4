// The peer "treadle": threads, m:n. Its public API and nothing else.
#include "../../peer_raw.hpp"
#include "../../peer_treadle.hpp"
#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"
#include "thread_workloads.hpp"

#include <array>
#include <span>

namespace treadle::bench {
namespace {

struct threads : peer_treadle<model::many_to_many> {
  class baton {
   public:
    void wait(int who) {
      treadle::unique_lock<mutex> held(lock_);
      while (turn_ != who) changed_.wait(held);
    }
    void pass(int to) {
      {
        const treadle::lock_guard<mutex> held(lock_);
        turn_ = to;
      }
      changed_.notify_one();
    }

   private:
    mutex lock_;
    treadle::condition_variable changed_;
    int turn_ = 0;
  };
};

template <class Session>
void attend(io::socket peer) {
  Session session;
  try {
    peer.receive_ahead();
    while (!session.ends()) {
      const std::size_t got = peer.read(std::as_writable_bytes(session.room()));
      if (got == 0) break;
      session.take(got);
      peer.write_all(session.output());
    }
  } catch (const std::system_error&) {
    // The peer is gone.
  }
}

template <class Session>
void serve() {
  io::listener door = io::listener::open("127.0.0.1", 0);
  say_port(door.port());
  for (;;) {
    treadle::thread([peer = door.accept()]() mutable {
      attend<Session>(std::move(peer));
    }).detach();
  }
}

void measure(const order& asked) {
  if (asked.workload == "echo") threads::enter(asked.workers, 0, serve<echo_session>);
  if (asked.workload == "http") threads::enter(asked.workers, 0, serve<http_session>);
  if (asked.workload == "switch") {
    report(asked, [&] { return switch_by_treadle(asked.count); });
  }
  measure_threads<threads>(asked);
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "Treadle " TREADLE_VERSION,
                                     treadle::bench::measure);
}
