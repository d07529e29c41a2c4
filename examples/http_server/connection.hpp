// One connection: its thread reads requests, answers them in order, and parks in between.
//
// While it is idle a connection has its thread and its descriptor, and no buffer: buffers are
// lent when data is there, and so is the stack on which it works, as the parser's frames take some
// pages. Requests that arrive together are answered with one write.
#pragma once

#include <sys/socket.h>
#include <unistd.h>
#include <treadle/treadle.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "examples/http_server/files.hpp"
#include "examples/http_server/request.hpp"
#include "examples/http_server/response.hpp"

namespace http {

struct limits {
  std::chrono::milliseconds idle{60'000};     // between requests
  std::chrono::milliseconds request{10'000};  // from a request's first byte to its last
  std::chrono::milliseconds write{30'000};    // one response through
};

// What a connection needs while it works.
struct session {
  std::array<char, head_bytes_max + 1024> input;
  std::size_t begin = 0;   // what comes before is parsed
  std::size_t filled = 0;  // what is behind is free
  output_buffer output;
  std::string target;
  date_field date;
};

class session_pool {
 public:
  std::unique_ptr<session> take() {
    {
      const treadle::lock_guard lock(guard_);
      if (!spare_.empty()) {
        std::unique_ptr<session> warm = std::move(spare_.back());
        spare_.pop_back();
        return warm;
      }
    }
    return std::make_unique<session>();
  }
  void put(std::unique_ptr<session> used) {
    const treadle::lock_guard lock(guard_);
    if (spare_.size() < spare_max) spare_.push_back(std::move(used));
  }

 private:
  // Guess: 64 KiB each at most, so 16 MiB in all.
  static constexpr std::size_t spare_max = 256;
  treadle::mutex guard_;
  std::vector<std::unique_ptr<session>> spare_;  // guarded by guard_
};

// All connections with the time by which something must come from them. One thread watches them
// all; so a wait has no timer and no stop of its own, and a request costs one store here.
class watched {
 public:
  class entry {
   public:
    entry(watched& home, int descriptor) : home_(home), descriptor_(descriptor) {
      const treadle::lock_guard lock(home_.guard_);
      next_ = home_.first_;
      if (next_ != nullptr) next_->previous_ = this;
      home_.first_ = this;
    }
    ~entry() {
      const treadle::lock_guard lock(home_.guard_);
      (previous_ != nullptr ? previous_->next_ : home_.first_) = next_;
      if (next_ != nullptr) next_->previous_ = previous_;
    }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

    void expect_within(std::chrono::milliseconds span) {
      until_.store(coarse_now() + span.count(), std::memory_order_relaxed);
    }
    // Whether the end of the input came from here and not from the peer.
    bool was_ended() const { return ended_.load(std::memory_order_relaxed); }

   private:
    friend class watched;
    watched& home_;
    const int descriptor_;
    std::atomic<std::int64_t> until_{std::numeric_limits<std::int64_t>::max()};
    std::atomic<bool> ended_{false};
    entry* next_ = nullptr;      // guarded by guard_
    entry* previous_ = nullptr;  // guarded by guard_
  };

  // A thread's work: ends the input of who is late, at the stop that of all; the output stays open
  // for an answer.
  void watch(const std::stop_token& stop) {
    // Guess: nobody minds so small a delay.
    constexpr std::chrono::milliseconds interval{100};
    while (!stop.stop_requested()) {
      treadle::io::poll(nullptr, 0, {interval, stop});
      const treadle::lock_guard lock(guard_);
      const std::int64_t now = coarse_now();
      for (entry* one = first_; one != nullptr; one = one->next_) {
        if (now < one->until_.load(std::memory_order_relaxed) && !stop.stop_requested()) continue;
        one->ended_.store(true, std::memory_order_relaxed);
        ::shutdown(one->descriptor_, SHUT_RD);
      }
    }
  }

 private:
  // Milliseconds; a few of them late, and for that ten times cheaper than the exact clock.
  static std::int64_t coarse_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  }

  treadle::mutex guard_;
  entry* first_ = nullptr;  // guarded by guard_
};

struct server {
  file_root files;
  std::string scratch = "/tmp";  // where /fsync writes
  limits times{};
  std::stop_token stop{};
  // A child's stack costs next to nothing where threads share kernel threads.
  bool lends_stacks = true;
  session_pool sessions{};
  watched guests{};
};

class connection {
 public:
  connection(server& home, treadle::io::socket peer)
      : home_(home), peer_(std::move(peer)), watch_(home.guests, peer_.descriptor()) {}

  // Until either side ends it. Errors of the peer end a connection and nothing else.
  void run() noexcept {
    try {
      if (home_.stop.stop_requested()) return;  // the watcher may have gone
      do {
        watch_.expect_within(home_.times.idle);
        peer_.wait_readable();
      } while (home_.lends_stacks ? work_on_lent_stack() : work());
    } catch (const std::exception&) {
      // Reset, timed out, stopped: there is nobody to tell.
    }
  }

 private:
  // Guess: a good size for one write.
  static constexpr std::size_t output_bytes_max = 64 * 1024;

  bool work_on_lent_stack() {
    bool goes_on = false;
    treadle::scope lent;
    lent.spawn([&] { goes_on = work(); });
    lent.join();
    return goes_on;
  }

  // From the first byte until nothing is left to answer. False when the connection is to end.
  bool work() {
    std::unique_ptr<session> mine = home_.sessions.take();
    mine->begin = mine->filled = 0;
    mine->output.clear();
    const bool goes_on = serve(*mine);
    home_.sessions.put(std::move(mine));
    return goes_on;
  }

  bool serve(session& mine) {
    if (!fill(mine)) return false;
    for (;;) {
      request_parser parser(mine.target);
      const bool parsed = parse(parser, mine);
      const bool goes_on = parsed && answer(parser, mine);
      if (!goes_on || mine.begin == mine.filled || mine.output.size() > output_bytes_max) {
        flush(mine);
        if (!goes_on || mine.begin == mine.filled) return goes_on;
      }
    }
  }

  // Reads on until the request is there. False, with an answer in the output, when it will not be.
  // Most requests come whole: the time for the rest of one runs from its first part on.
  bool parse(request_parser& parser, session& mine) {
    for (bool is_first = true;; is_first = false) {
      beast::error_code error;
      mine.begin += parser.put({mine.input.data() + mine.begin, mine.filled - mine.begin}, error);
      if (error && error != beast::http::error::need_more) return refuse(mine, status_of(error));
      if (parser.is_header_done()) {
        if (!parser.names_host()) return refuse(mine, 400);
        if (parser.is_coded_strangely()) return refuse(mine, 501);
        if (parser.is_done()) return true;
        if (parser.expects_continue()) return refuse(mine, 417);
      }
      if (is_first) watch_.expect_within(home_.times.request);
      flush(mine);  // what was asked before waits no longer
      if (!fill(mine)) return watch_.was_ended() && refuse(mine, 408);
    }
  }

  // More bytes behind those that are there. False at the peer's end.
  bool fill(session& mine) {
    if (mine.begin != 0) {
      std::copy(mine.input.data() + mine.begin, mine.input.data() + mine.filled, mine.input.data());
      mine.filled -= mine.begin;
      mine.begin = 0;
    }
    if (mine.filled == mine.input.size()) return refuse(mine, 431);
    const std::span<char> room(mine.input.data() + mine.filled, mine.input.size() - mine.filled);
    const std::size_t count = peer_.read(std::as_writable_bytes(room));
    mine.filled += count;
    return count != 0;
  }

  // Mostly there is room for all of it, and a limit, for which the clock is read, is not needed.
  void flush(session& mine) {
    if (mine.output.empty()) return;
    std::string_view rest = mine.output.text();
    const ssize_t sent = treadle::io::send(peer_.descriptor(), rest.data(), rest.size(),
                                           MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
    if (!rest.empty()) peer_.write_all(rest, home_.times.write);  // or it says what is wrong
    mine.output.clear();
  }

  bool refuse(session& mine, unsigned status) {
    response out;
    out.status = status;
    out.body = reason_of(status);
    out.keeps_alive = false;
    append(mine.output, out, mine.date);
    return false;
  }

  // Appends the answer; false when it is the connection's last.
  bool answer(const request_parser& request, session& mine) {
    response out;
    out.keeps_alive = request.keep_alive() && !home_.stop.stop_requested();
    out.has_body = request.method() != beast::http::verb::head;
    if (request.method() != beast::http::verb::get && out.has_body) {
      out.status = request.method() == beast::http::verb::unknown ? 501 : 405;
      out.body = reason_of(out.status);
    } else {
      const std::string_view target = origin_form(mine.target);
      const std::size_t mark = target.find('?');
      const std::string_view path = target.substr(0, mark);
      const std::string_view query =
          mark == target.npos ? std::string_view() : target.substr(mark + 1);
      if (path == "/") {
        out.body = "Hello, World!";
      } else {
        watch_.expect_within(home_.times.request);  // these may wait
        if (path == "/sleep") {
          sleep(query, out);
        } else if (path == "/fsync") {
          sync(query == "plain", out);
        } else {
          return answer_with_file(path, out, mine);
        }
      }
    }
    append(mine.output, out, mine.date);
    return out.keeps_alive;
  }

  // "http://host/path" -> "/path"
  static std::string_view origin_form(std::string_view target) {
    constexpr std::string_view scheme = "http://";
    if (target.substr(0, scheme.size()) != scheme) return target;
    const std::size_t slash = target.find('/', scheme.size());
    return slash == target.npos ? "/" : target.substr(slash);
  }

  void sleep(std::string_view query, response& out) {
    constexpr std::string_view name = "ms=";
    constexpr unsigned milliseconds_max = 60'000;
    unsigned span = 0;
    const char* end = query.data() + query.size();
    if (query.substr(0, name.size()) != name ||
        std::from_chars(query.data() + name.size(), end, span).ptr != end ||
        query.size() == name.size() || span > milliseconds_max) {
      out.status = 400;
      out.body = "/sleep?ms=N, N up to 60000";
      return;
    }
    static_cast<void>(treadle::io::poll(nullptr, 0, {std::chrono::milliseconds(span), home_.stop}));
    out.body = "slept";
  }

  // Writes one line where it survives a crash. /fsync?plain does it by calls that the runtime is
  // not told of: in m:1 all connections stand still meanwhile, in m:n they do not.
  void sync(bool plainly, response& out) {
    namespace io = treadle::io;
    constexpr int flags = O_TMPFILE | O_WRONLY | O_CLOEXEC;
    constexpr std::string_view line = "one line\n";
    const char* const where = home_.scratch.c_str();
    const open_file file(plainly ? ::open(where, flags, 0600) : io::open(where, flags, 0600));
    const int number = file.descriptor();
    const bool done =
        file &&
        (plainly ? ::write(number, line.data(), line.size()) > 0 && ::fsync(number) == 0
                 : io::pwrite(number, line.data(), line.size(), 0) > 0 && io::fsync(number) == 0);
    out.body = "synced";
    if (done) return;
    out.status = 500;
    out.body = reason_of(out.status);
  }

  bool answer_with_file(std::string_view path, response& out, session& mine) {
    const open_file file = home_.files.open(path, out.body_bytes);
    if (!file) {
      out.status = 404;
      out.body = reason_of(out.status);
      append(mine.output, out, mine.date);
      return out.keeps_alive;
    }
    out.type = type_of(path);
    append(mine.output, out, mine.date);
    if (!out.has_body) return out.keeps_alive;
    flush(mine);
    ::off_t offset = 0;
    const ssize_t sent =
        treadle::io::sendfile(peer_.descriptor(), file.descriptor(), &offset,
                              static_cast<std::size_t>(out.body_bytes), home_.times.write);
    // Fewer than promised (the file shrank, the peer left): only an end tells the peer.
    return sent == static_cast<ssize_t>(out.body_bytes) && out.keeps_alive;
  }

  server& home_;
  treadle::io::socket peer_;
  watched::entry watch_;
};

}  // namespace http
