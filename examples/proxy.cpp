// A TCP proxy: what comes in goes to the upstream server and back, two threads a connection.
//
//   proxy --port 8081 --upstream 127.0.0.1:8080
// Each direction ends by itself: a peer that has sent its end (half a close) still gets answers.
#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "examples/support/service.hpp"

namespace {

constexpr const char* usage =
    "proxy --upstream HOST:PORT [options]\n"
    "  --connect-ms N how long the upstream may take to answer (5000)\n";

// Sourced: the default size of a pipe's and a socket's buffer is of this order.
constexpr std::size_t chunk_bytes = 16 * 1024;

struct options : service::common_options {
  std::string host;
  std::uint16_t upstream_port = 0;
  std::chrono::milliseconds connect_time{5000};
};

options parse(int count, char** words) {
  service::command_line line(count, words);
  options wanted;
  wanted.take(line);
  const std::string upstream = line.take("--upstream").value_or("");
  const std::size_t colon = upstream.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    line.fail("--upstream is \"" + upstream + "\", it must be HOST:PORT");
  }
  wanted.host = upstream.substr(0, colon);
  const std::string port = upstream.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), wanted.upstream_port);
  if (error != std::errc() || end != port.data() + port.size() || wanted.upstream_port == 0) {
    line.fail("--upstream: \"" + port + "\" is no port");
  }
  if (const auto number = line.take_number("--connect-ms", 3'600'000)) {
    wanted.connect_time = std::chrono::milliseconds(*number);
  }
  line.finish();
  return wanted;
}

// One direction, until its source has sent its end. A failure of either side ends both directions.
void copy(treadle::io::socket& from, treadle::io::socket& to, const std::stop_token& stop) {
  try {
    const auto chunk = std::make_unique<std::array<std::byte, chunk_bytes>>();
    while (const std::size_t count = from.read(*chunk, stop)) {
      to.write_all(std::span(*chunk).first(count), stop);
    }
    to.shutdown_writing();
  } catch (const std::exception&) {
    from.shutdown_both();
    to.shutdown_both();
  }
}

void relay(treadle::io::socket guest, const options& wanted, const std::stop_token& stop) {
  try {
    treadle::io::socket upstream = treadle::io::socket::connect(wanted.host, wanted.upstream_port,
                                                                {wanted.connect_time, stop});
    treadle::thread back([&] { copy(upstream, guest, stop); });
    copy(guest, upstream, stop);
    back.join();
  } catch (const std::exception& error) {
    // The guest sees its connection closed.
    std::fprintf(stderr, "proxy: %s\n", error.what());
  }
}

void serve(const options& wanted, const service::end_signals& signals) {
  std::stop_source stop;
  const auto handle = [&](treadle::io::socket guest) {
    relay(std::move(guest), wanted, stop.get_token());
  };
  treadle::runtime runtime(wanted.runtime);
  runtime.run([&] { service::run_until_the_end(wanted, signals, stop, handle); });
  // The runtime's end waits for the connections.
}

}  // namespace

int main(int count, char** words) {
  const service::end_signals signals;
  return service::guarded_main("proxy", std::string(usage) + service::common_usage,
                               [&] { serve(parse(count, words), signals); });
}
