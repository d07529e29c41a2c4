// What the network examples have in common: their command line, and how they end.
//
// A service ends when SIGINT or SIGTERM comes, or after --seconds. Signals are blocked in all
// kernel threads and read from a descriptor, as any other input.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <treadle/treadle.hpp>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace service {

// Options of the form --name value, taken out one by one; what is left over is a mistake.
class command_line {
 public:
  command_line(int count, char** words) : words_(words + 1, words + count) {}

  std::optional<std::string> take(std::string_view name) {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] != name) continue;
      if (i + 1 == words_.size()) fail(std::string(name) + " needs a value");
      std::string value = words_[i + 1];
      words_.erase(words_.begin() + static_cast<std::ptrdiff_t>(i),
                   words_.begin() + static_cast<std::ptrdiff_t>(i) + 2);
      return value;
    }
    return std::nullopt;
  }

  std::optional<unsigned> take_number(std::string_view name, unsigned highest) {
    const std::optional<std::string> text = take(name);
    if (!text) return std::nullopt;
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number > highest) {
      fail(std::string(name) + " is \"" + *text + "\", allowed are whole numbers up to " +
           std::to_string(highest));
    }
    return number;
  }

  void finish() const {
    if (!words_.empty()) fail("unknown: " + words_.front());
  }

  [[noreturn]] static void fail(const std::string& what) { throw std::invalid_argument(what); }

 private:
  std::vector<std::string> words_;
};

// What every service can be told.
struct common_options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any; the real one is printed
  treadle::runtime_options runtime{};
  std::optional<std::chrono::seconds> life{};

  void take(command_line& line) {
    if (const auto text = line.take("--address")) address = *text;
    if (const auto number = line.take_number("--port", 65535)) {
      port = static_cast<std::uint16_t>(*number);
    }
    if (const auto text = line.take("--model")) runtime.model = treadle::parse_model(*text);
    if (const auto text = line.take("--workers")) {
      runtime.width = treadle::parse_width("--workers", *text);
    }
    if (const auto number = line.take_number("--seconds", 1'000'000)) {
      life = std::chrono::seconds(*number);
    }
  }
};

inline constexpr const char* common_usage =
    "  --address A    where to listen (127.0.0.1)\n"
    "  --port N       0, the default, takes any free one and prints it\n"
    "  --model M      m:1, 1:1 or m:n\n"
    "  --workers N    kernel threads of m:n\n"
    "  --seconds N    end after so long; SIGINT and SIGTERM end it, too\n";

// SIGINT and SIGTERM as a descriptor. Made before any other kernel thread starts, so that all block
// them; and has SIGPIPE ignored: a peer that is gone is an error of the call.
class end_signals {
 public:
  end_signals() {
    sigset_t ends;
    ::sigemptyset(&ends);
    ::sigaddset(&ends, SIGINT);
    ::sigaddset(&ends, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    descriptor_ = ::signalfd(-1, &ends, SFD_CLOEXEC);
  }
  ~end_signals() { treadle::io::close(descriptor_); }
  end_signals(const end_signals&) = delete;
  end_signals& operator=(const end_signals&) = delete;

  // Until a signal, the end of the life or a stop from elsewhere: all mean the same.
  void wait(const common_options& options, const std::stop_token& stop) const {
    treadle::io::wait_limit limit(stop);
    if (options.life) limit = treadle::io::wait_limit(*options.life, stop);
    signalfd_siginfo which{};
    static_cast<void>(treadle::io::read(descriptor_, &which, sizeof(which), limit));
  }

 private:
  int descriptor_ = -1;
};

// accept() went wrong in a way that may pass: no descriptor or memory is left, or the peer gave up.
inline bool may_pass(const std::error_code& error) {
  for (const int known : {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EPROTO, EPERM, EAGAIN}) {
    if (error == std::error_code(known, std::generic_category())) return true;
  }
  return false;
}

// Gives each guest a thread `like` that, which runs `handle(socket)`, until the stop.
template <class Handle>
void accept_all(treadle::io::listener& door, const std::stop_token& stop, const Handle& handle,
                const treadle::thread_attributes& like) {
  // Guess: long enough for somebody to leave, too short for a guest to notice.
  constexpr std::chrono::milliseconds pause{10};
  while (!stop.stop_requested()) {
    try {
      treadle::thread(like, [&handle, guest = door.accept(stop)]() mutable {
        static_cast<void>(treadle::io::receive_ahead(guest.descriptor()));  // only a wish
        handle(std::move(guest));
      }).detach();
    } catch (const std::system_error& error) {
      if (error.code() == std::errc::operation_canceled) return;
      // No descriptor or no thread is left: those who are here go on, and others wait.
      if (!may_pass(error.code())) throw;
      static_cast<void>(treadle::io::poll(nullptr, 0, {pause, stop}));
    }
  }
}

// Listens, says where, and serves until the end of the service. `handle` must outlive the threads,
// for which the runtime's end waits.
template <class Handle>
void run_until_the_end(const common_options& options, const end_signals& signals,
                       std::stop_source stop, const Handle& handle,
                       const treadle::thread_attributes& like = {}) {
  treadle::io::listener door = treadle::io::listener::open(options.address, options.port);
  std::printf("listening on %s:%u\n", options.address.c_str(), unsigned{door.port()});
  std::fflush(stdout);
  treadle::thread end([&] {
    signals.wait(options, stop.get_token());
    stop.request_stop();
  });
  try {
    accept_all(door, stop.get_token(), handle, like);
  } catch (...) {
    stop.request_stop();
    end.join();
    throw;
  }
  end.join();
}

// main() around `serve`: says what is wrong and gives the exit status.
template <class Serve>
int guarded_main(const char* name, const std::string& usage, Serve serve) {
  try {
    serve();
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s: %s\n%s", name, error.what(), usage.c_str());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace service
