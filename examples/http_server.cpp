// An HTTP/1.1 server with a thread for each connection: hello at /, static files below --root,
// /sleep?ms=N, /fsync, /fsync?plain. Keep-alive and pipelining; requests are limited in size and in
// time.
//
//   http_server --port 8080 --root /var/www --model m:n
#include <cstdio>
#include <string>

#include "examples/http_server/connection.hpp"
#include "examples/support/service.hpp"

namespace {

constexpr const char* usage =
    "http_server [options]\n"
    "  --root DIR     serve the files below DIR\n"
    "  --idle-ms N    how long a connection may be idle (60000)\n"
    "  --request-ms N how long a request may take to arrive (10000)\n";

struct options : service::common_options {
  std::string root;
  http::limits times{};
};

options parse(int count, char** words) {
  service::command_line line(count, words);
  options wanted;
  wanted.take(line);
  if (const auto text = line.take("--root")) wanted.root = *text;
  constexpr unsigned milliseconds_max = 3'600'000;
  if (const auto number = line.take_number("--idle-ms", milliseconds_max)) {
    wanted.times.idle = std::chrono::milliseconds(*number);
  }
  if (const auto number = line.take_number("--request-ms", milliseconds_max)) {
    wanted.times.request = std::chrono::milliseconds(*number);
  }
  line.finish();
  return wanted;
}

void serve(const options& wanted, const service::end_signals& signals) {
  std::stop_source stop;
  http::server home;
  home.stop = stop.get_token();
  home.times = wanted.times;
  if (!wanted.root.empty()) home.files = http::file_root(wanted.root);
  const auto handle = [&home](treadle::io::socket guest) {
    http::connection(home, std::move(guest)).run();
  };
  treadle::runtime runtime(wanted.runtime);
  home.lends_stacks = runtime.model() != treadle::model::one_to_one;
  // Guess: what a connection needs to wait. Its own kind of stack, so that none that was lent, and
  // used to its depth, becomes the next connection's.
  treadle::thread_attributes guest;
  if (home.lends_stacks) guest.stack_bytes = std::size_t{32} * 1024;
  runtime.run([&] {
    treadle::thread watcher([&] { home.guests.watch(home.stop); });
    try {
      service::run_until_the_end(wanted, signals, stop, handle, guest);
    } catch (...) {
      stop.request_stop();
      watcher.join();
      throw;
    }
    watcher.join();
  });
  // The runtime's end waits for the connections.
}

}  // namespace

int main(int count, char** words) {
  const service::end_signals signals;
  return service::guarded_main("http_server", std::string(usage) + service::common_usage,
                               [&] { serve(parse(count, words), signals); });
}
