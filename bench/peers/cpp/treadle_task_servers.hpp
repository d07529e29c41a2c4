// The servers of the peer "treadle-tasks": a task for each connection.
#pragma once

#include <sys/socket.h>
#include <treadle/treadle.hpp>

#include <span>
#include <string_view>

#include "echo_session.hpp"
#include "http_session.hpp"
#include "listener.hpp"

namespace treadle::bench {

template <class Session>
task<> attend(int peer) {
  Session session;
  no_delay(peer);
  while (!session.ends()) {
    const std::span<char> room = session.room();
    const ssize_t got = co_await co::recv(peer, room.data(), room.size(), 0);
    if (got <= 0) break;
    session.take(static_cast<std::size_t>(got));
    const std::string_view output = session.output();
    if (output.empty()) continue;
    const ssize_t sent = co_await co::send(peer, output.data(), output.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(output.size())) break;
  }
  io::close(peer);
}

template <class Session>
task<> serve(int door) {
  for (;;) {
    const ssize_t peer = co_await co::accept(door);
    if (peer >= 0) spawn(attend<Session>(static_cast<int>(peer))).detach();
  }
}

inline bool is_server(std::string_view workload) {
  return workload == "echo" || workload == "http";
}

/// Until the process is killed.
inline void serve_by_tasks(std::string_view workload) {
  const int door = listen_and_say();
  block_on(workload == "echo" ? serve<echo_session>(door) : serve<http_session>(door));
}

}  // namespace treadle::bench
