#include "treadle/cli/watched_run.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <system_error>

#include "treadle/base/clock.hpp"
#include "treadle/cli/process_reading.hpp"
#include "treadle/cli/signal_inbox.hpp"
#include "treadle/lab/descriptor.hpp"

namespace treadle::cli {
namespace {

// Guess: of stderr this much is kept, for its last line.
constexpr std::size_t words_bytes_max = 4096;
// Guess: short programs are seen, and long ones not disturbed: a look takes some 50 us.
constexpr std::int64_t look_first_ns = 1'000'000;
constexpr std::int64_t look_later_ns = 10'000'000;
constexpr std::int64_t looks_first = 50;
// At most a fiftieth of one CPU goes into looking.
constexpr std::int64_t look_share = 50;
// Guess: a pipe that seldom makes the program wait for us.
constexpr int pipe_bytes = 1 << 20;

int stats_number = -1;  // in the child: see stats_path()

// Written by the child, read by the parent when the program was executed.
std::int64_t* start_stamp = nullptr;

// Ours and the child's. By ourselves we would see the start late where others keep the CPUs busy.
std::int64_t* shared_stamp() {
  static void* const page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) lab::fail_with_errno("mmap");
  return static_cast<std::int64_t*>(page);
}

struct pipe_ends {
  lab::descriptor reading;
  lab::descriptor writing;
  pipe_ends() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) lab::fail_with_errno("pipe2");
    reading.reset(ends[0]);
    writing.reset(ends[1]);
  }
};

// What the program writes: counted and hashed, not kept.
class sink {
 public:
  sink() {
    ::fcntl(pipe_.writing.get(), F_SETPIPE_SZ, pipe_bytes);  // may be refused: then it is smaller
    if (::fcntl(pipe_.reading.get(), F_SETFL, O_NONBLOCK) != 0) lab::fail_with_errno("fcntl");
  }
  int writing() const { return pipe_.writing.get(); }
  void close_writing() { pipe_.writing.reset(); }
  // -1 after its end.
  int reading() const { return pipe_.reading.get(); }
  // Takes what is there now.
  void drain() {
    std::array<char, 65536> bytes;
    while (pipe_.reading.get() >= 0) {
      const ssize_t count = ::read(pipe_.reading.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;
      if (count == 0) return pipe_.reading.reset();
      take({bytes.data(), static_cast<std::size_t>(count)});
    }
  }
  const text_digest& digest() const { return digest_; }
  std::string last_line() const {
    std::string text = end_;
    while (text.ends_with('\n')) text.pop_back();
    return text.substr(text.rfind('\n') + 1);
  }

 private:
  void take(std::string_view text) {
    digest_.bytes += text.size();
    // Sourced: FNV-1a, 64 bits (Fowler, Noll, Vo).
    for (const char each : text) {
      digest_.hash = (digest_.hash ^ static_cast<unsigned char>(each)) * 0x100000001b3u;
    }
    end_.append(text);
    if (end_.size() > words_bytes_max) end_.erase(0, end_.size() - words_bytes_max);
  }

  pipe_ends pipe_;
  text_digest digest_{0, 0xcbf29ce484222325u};  // sourced: FNV's offset basis
  std::string end_;
};

class watched_process {
 public:
  explicit watched_process(const run_request& request) : request_(request) {
    if (request.counts_calls) stats_.reset(::memfd_create("treadle-stats", MFD_CLOEXEC));
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) lab::fail_with_errno("prctl");
    start();
  }
  ~watched_process() { end_all(); }
  watched_process(const watched_process&) = delete;
  watched_process& operator=(const watched_process&) = delete;

  watched_run follow() {
    if (result_.why_not.empty()) {
      while (!ended_) wait_and_look();
    }
    end_all();
    if (const int signal = inbox_.take()) throw interrupted{signal};
    out_.drain();
    err_.drain();
    result_.out = out_.digest();
    result_.err = err_.digest();
    result_.last_words = err_.last_line();
    if (!result_.why_not.empty()) result_.why_not = result_.last_words;
    result_.memory_bytes = std::max(used_bytes_, seen_bytes_);
    if (result_.why_not.empty()) result_.avoided = calls_avoided();
    return result_;
  }

 private:
  void start() {
    lab::descriptor input(::open(request_.input_file.c_str(), O_RDONLY | O_CLOEXEC));
    if (input.get() < 0) lab::fail_with_errno(request_.input_file.c_str());
    pipe_ends words;
    start_stamp = shared_stamp();
    *start_stamp = 0;
    std::fflush(nullptr);  // or the child would write it again
    child_ = ::fork();
    if (child_ < 0) lab::fail_with_errno("fork");
    if (child_ == 0) become_program(input.get(), words.writing.get());
    words.writing.reset();
    ::setpgid(child_, child_);  // the child does it, too: whoever is first
    out_.close_writing();
    err_.close_writing();
    // The end of this pipe without a word: it has become the program.
    if (read_word(words.reading.get(), result_.become_status)) result_.why_not = "not started";
    // A child that was killed on its way has written none.
    start_ = *start_stamp != 0 ? *start_stamp : base::monotonic_now();
    until_ = start_ + std::chrono::nanoseconds(request_.limit).count();
  }

  static bool read_word(int from, int& into) {
    for (;;) {
      const ssize_t count = ::read(from, &into, sizeof into);
      if (count < 0 && errno == EINTR) continue;
      return count == sizeof into;
    }
  }

  [[noreturn]] void become_program(int input, int words) {
    ::setpgid(0, 0);
    inbox_.leave();
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should we be killed without a chance to clear up
    ::dup2(input, STDIN_FILENO);
    ::dup2(out_.writing(), STDOUT_FILENO);
    ::dup2(err_.writing(), STDERR_FILENO);
    stats_number = stats_.get();
    const int status = request_.become();
    std::fflush(nullptr);
    // If nobody hears it, nobody waits for us either.
    (void)!::write(words, &status, sizeof status);
    ::_exit(status);
  }

  void wait_and_look() {
    const std::int64_t now = base::monotonic_now();
    if (now >= until_) {
      result_.in_time = false;
      return end_all();
    }
    const std::int64_t left = std::max<std::int64_t>(std::min(until_, next_look_) - now, 0);
    std::array<pollfd, 3> ready{pollfd{inbox_.get(), POLLIN, 0}, pollfd{out_.reading(), POLLIN, 0},
                                pollfd{err_.reading(), POLLIN, 0}};
    const timespec time{left / base::nanoseconds_per_second, left % base::nanoseconds_per_second};
    if (::ppoll(ready.data(), ready.size(), &time, nullptr) < 0 && errno != EINTR) {
      lab::fail_with_errno("ppoll");
    }
    reap();
    if (const int signal = inbox_.take()) {
      end_all();
      throw interrupted{signal};
    }
    out_.drain();
    err_.drain();
    if (!ended_ && base::monotonic_now() >= next_look_) look();
  }

  void look() {
    const std::int64_t begin = base::monotonic_now();
    const process_reading seen = read_processes(child_);
    const std::int64_t end = base::monotonic_now();
    result_.kernel_threads =
        std::max(result_.kernel_threads, static_cast<double>(seen.kernel_threads));
    seen_bytes_ = std::max(seen_bytes_, seen.memory_bytes);
    ++looks_;
    next_look_ = end + std::max(looks_ < looks_first ? look_first_ns : look_later_ns,
                                (end - begin) * look_share);
  }

  // True while there are children that have not ended.
  bool reap() {
    for (;;) {
      int status = 0;
      rusage used{};
      const pid_t ended = ::wait4(-1, &status, WNOHANG, &used);
      if (ended == 0) return true;
      if (ended < 0 && errno == EINTR) continue;
      if (ended < 0) return false;
      add(used);
      if (ended != child_) continue;
      result_.wall_ns = static_cast<double>(base::monotonic_now() - start_);
      result_.status = status;
      ended_ = true;
    }
  }

  void add(const rusage& used) {
    const auto nanoseconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
    };
    result_.user_ns += nanoseconds(used.ru_utime);
    result_.system_ns += nanoseconds(used.ru_stime);
    result_.voluntary += static_cast<double>(used.ru_nvcsw);
    result_.involuntary += static_cast<double>(used.ru_nivcsw);
    used_bytes_ = std::max(used_bytes_, static_cast<double>(used.ru_maxrss) * 1024);
  }

  // Until no process of the program's is left. What ignores its parent's end comes to us.
  void end_all() {
    if (child_ <= 0) return;
    while (reap()) {
      if (!ended_) ::kill(-child_, SIGKILL);  // later the number may be somebody else's
      for (const pid_t each : own_children()) ::kill(each, SIGKILL);
      // A signal that came before is kept; this only waits for SIGCHLD.
      pollfd ready{inbox_.get(), POLLIN, 0};
      constexpr int look_again_ms = 10;  // guess: orphans may come without a signal
      ::poll(&ready, 1, look_again_ms);
      inbox_.collect();
    }
  }

  std::optional<double> calls_avoided() const {
    if (stats_.get() < 0) return std::nullopt;
    const std::string path = fmt::format("/proc/self/fd/{}", stats_.get());
    lab::descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    std::array<char, 4096> bytes;
    for (;;) {
      const ssize_t count = ::read(file.get(), bytes.data(), bytes.size());
      if (count <= 0) break;
      text.append(bytes.data(), static_cast<std::size_t>(count));
    }
    std::optional<double> sum;
    double sleeps = 0;  // of workers that had nothing left to run: the kernel's, after all
    std::istringstream lines(text);  // one part for each process that ended by itself
    std::string name;
    for (std::string value; lines >> name >> value;) {
      if (name == "calls_without_kernel") sum = sum.value_or(0) + std::atof(value.c_str());
      if (name == "sleeps") sleeps += std::atof(value.c_str());
    }
    if (sum) *sum = std::max(*sum - sleeps, 0.0);
    return sum;
  }

  const run_request& request_;
  signal_inbox inbox_;
  sink out_;
  sink err_;
  lab::descriptor stats_;
  pid_t child_ = 0;
  bool ended_ = false;
  std::int64_t start_ = 0;
  std::int64_t until_ = 0;
  std::int64_t next_look_ = 0;
  std::int64_t looks_ = 0;
  double seen_bytes_ = 0;
  double used_bytes_ = 0;
  watched_run result_;
};

}  // namespace

watched_run watch(const run_request& request) { return watched_process(request).follow(); }

void note_start() noexcept {
  if (start_stamp != nullptr) *start_stamp = base::monotonic_now();
}

std::string stats_path() {
  // The parent's descriptor: ours is closed when the program is executed.
  return stats_number < 0 ? "" : fmt::format("/proc/{}/fd/{}", ::getppid(), stats_number);
}

}  // namespace treadle::cli
