// The peer "treadle": threads, m:n; with --m:1 as the first argument the peer "treadle-m1". The
// public API and nothing else.
#include "../../peer_raw.hpp"
#include "../../peer_treadle.hpp"
#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"
#include "thread_workloads.hpp"

#include <array>
#include <span>
#include <string_view>

namespace treadle::bench {
namespace {

template <model Model>
struct threads : peer_treadle<Model> {
  using mutex = typename peer_treadle<Model>::mutex;

  static ssize_t read_at(int file, void* to, std::size_t bytes, off_t offset) {
    return io::pread(file, to, bytes, offset);
  }

  class baton {
   public:
    void pass(int who) {
      {
        treadle::unique_lock<mutex> held(lock_);
        while (turn_ != who) changed_.wait(held);
        turn_ = 1 - who;
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

template <model Model>
void measure(const order& asked) {
  using peer = threads<Model>;
  if (asked.workload == "echo") peer::enter(asked.workers, 0, serve<echo_session>);
  if (asked.workload == "http") peer::enter(asked.workers, 0, serve<http_session>);
  if (asked.workload == "switch") {
    report(asked, [&] { return switch_by_treadle(asked.count); });
  }
  measure_threads<peer>(asked);
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  using namespace treadle::bench;
  constexpr auto many_to_one = treadle::model::many_to_one;
  constexpr auto many_to_many = treadle::model::many_to_many;
  const bool m_to_1 = argc > 1 && std::string_view(argv[1]) == "--m:1";
  if (!m_to_1) return run_program(argc, argv, "Treadle " TREADLE_VERSION, measure<many_to_many>);
  return run_program(argc - 1, argv + 1, "Treadle " TREADLE_VERSION, measure<many_to_one>);
}
