// The service that the servers experiment compares: 64 bytes in, the same 64 bytes out, on any
// number of connections. Once with a thread for each connection, in the model of the runtime that
// it is called in; once as an event loop on one kernel thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <stop_token>
#include <thread>

#include "treadle/io.hpp"
#include "treadle/mutex.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

inline constexpr std::size_t echo_bytes = 64;

// Serves from construction to destruction, on a port of its own on the loopback address. All
// kernel threads that it makes run on the CPUs of the one that makes it.
class threaded_echo {
 public:
  explicit threaded_echo(const runtime_options& options);
  ~threaded_echo();
  threaded_echo(const threaded_echo&) = delete;
  threaded_echo& operator=(const threaded_echo&) = delete;
  std::uint16_t port() const { return listener_.port(); }

 private:
  // A connection as long as it is open.
  class open_peer {
   public:
    open_peer(threaded_echo& home, int number);
    ~open_peer();
    open_peer(const open_peer&) = delete;
    open_peer& operator=(const open_peer&) = delete;

   private:
    threaded_echo& home_;
    const int number_;
  };

  void accept_all();
  void serve(io::socket& peer);

  mutex guard_;
  std::set<int> peers_;  // guarded by guard_
  std::stop_source stop_;
  runtime own_;  // its end waits for the connections' threads
  io::listener listener_;
  std::thread serving_;
};

class event_loop_echo {
 public:
  event_loop_echo();
  ~event_loop_echo();
  event_loop_echo(const event_loop_echo&) = delete;
  event_loop_echo& operator=(const event_loop_echo&) = delete;
  std::uint16_t port() const { return listener_.port(); }

 private:
  void serve();
  void accept_all();

  io::listener listener_;
  int events_ = -1;
  int end_ = -1;
  std::set<int> peers_;  // the serving thread's, while it runs
  std::thread serving_;
};

}  // namespace treadle::lab
