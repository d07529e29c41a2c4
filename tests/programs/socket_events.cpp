// Echoes over sockets under the model that is named, with what TREADLE_IO says; twice, in two
// runtimes. Says on stdout what was used. Exit code 0: all bytes were right.
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <treadle/treadle.hpp>
#include <vector>

#include "treadle/io.hpp"

namespace {

bool right = true;

void echo() {
  constexpr int pairs = 20;
  constexpr int rounds = 50;
  std::vector<treadle::thread> threads;
  for (int i = 0; i < pairs; ++i) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) right = false;
    treadle::io::receive_ahead(ends[0]);
    threads.emplace_back([end = ends[0]] {
      char byte = 0;
      while (treadle::io::read(end, &byte, 1) == 1) treadle::io::write(end, &byte, 1);
      treadle::io::close(end);
    });
    threads.emplace_back([end = ends[1]] {
      for (int k = 0; k < rounds; ++k) {
        const char sent = static_cast<char>(k);
        char got = 0;
        if (treadle::io::write(end, &sent, 1) != 1) right = false;
        if (treadle::io::read(end, &got, 1) != 1 || got != sent) right = false;
      }
      treadle::io::close(end);
    });
  }
  for (treadle::thread& each : threads) each.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  treadle::runtime_options options;
  options.model = treadle::parse_model(argv[1]);
  for (int i = 0; i < 2; ++i) {
    treadle::runtime rt(options);
    rt.run(echo);
    const bool ring = rt.socket_events() == treadle::io::socket_events::uring;
    std::printf("sockets=%s refusal=%s\n", ring ? "uring" : "epoll",
                std::strerror(rt.socket_events_refusal()));
  }
  return right ? 0 : 1;
}
