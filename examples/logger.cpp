// A logging thread that syncs each line to the disk while others compute.
//
//   logger [--model m:1|1:1|m:n] [--workers N] [--lines N] [--file NAME]
//
// With a plain fsync() the computing threads of m:1 would stand still for as long as the disk
// takes; with treadle::io only the logging thread waits. Says how often the others ticked
// meanwhile.
// Without --file the lines go to a file that is removed at the end. Exit status: 0; 1 when the log
// could not be written (a full disk, say), with one line that says why; 2 for wrong arguments.
#include <treadle/treadle.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

struct wishes {
  std::string file;
  int workers = 2;
  int lines = 100;
};

int parse_number(std::string_view option, std::string_view text) {
  constexpr int most = 1'000'000;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > most) {
    throw std::invalid_argument(std::string(option) + " is \"" + std::string(text) +
                                "\", allowed are whole numbers from 1 to " + std::to_string(most));
  }
  return number;
}

wishes parse(int argc, char** argv) {
  wishes wanted;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view option = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(std::string(option) + " needs a value");
    const std::string_view value = argv[i + 1];
    if (option == "--model") {
      treadle::runtime_options options;
      options.model = treadle::parse_model(value);
      treadle::runtime::set_default_options(options);
    } else if (option == "--workers") {
      wanted.workers = parse_number(option, value);
    } else if (option == "--lines") {
      wanted.lines = parse_number(option, value);
    } else if (option == "--file") {
      wanted.file = value;
    } else {
      throw std::invalid_argument(std::string(option) +
                                  " is no option; allowed are --model, --workers, --lines, --file");
    }
  }
  return wanted;
}

class log_file {
 public:
  explicit log_file(const std::string& name) : name_(name) {
    if (name_.empty()) {
      name_ = "/tmp/treadle-logger-" + std::to_string(::getpid());
      removed_at_the_end_ = true;
    }
    fd_ = treadle::io::open(name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail();
  }
  ~log_file() {
    treadle::io::close(fd_);
    if (removed_at_the_end_) ::unlink(name_.c_str());
  }
  log_file(const log_file&) = delete;
  log_file& operator=(const log_file&) = delete;

  // Returns when the line is on the disk.
  void append(std::string_view line) {
    while (!line.empty()) {
      const ssize_t written = treadle::io::pwrite(fd_, line.data(), line.size(), end_);
      if (written < 0) fail();
      line.remove_prefix(static_cast<std::size_t>(written));
      end_ += written;
    }
    if (treadle::io::fsync(fd_) != 0) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw std::system_error(treadle::io::own_errno(), std::generic_category(), name_);
  }

  std::string name_;
  int fd_ = -1;
  off_t end_ = 0;
  bool removed_at_the_end_ = false;
};

// Some microseconds of work.
int collatz(long n) {
  int steps = 0;
  for (; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1) ++steps;
  return steps;
}

struct counts {
  std::atomic<long> ticks{0};
  std::atomic<bool> over{false};
};

void compute(counts& all, int which) {
  for (long n = 1 + which; !all.over; ++n) {
    if (collatz(n) < 0) return;
    all.ticks.fetch_add(1);
    treadle::this_thread::yield();
  }
}

// Ticks of the others during each line's way to the disk.
std::vector<long> write_lines(log_file& log, int lines, const counts& all) {
  std::vector<long> ticks;
  for (int i = 0; i < lines; ++i) {
    const long before = all.ticks;
    log.append("line " + std::to_string(i) + ", " + std::to_string(before) + " ticks so far\n");
    ticks.push_back(all.ticks - before);
  }
  return ticks;
}

int run(const wishes& wanted) {
  log_file log(wanted.file);
  counts all;
  std::vector<treadle::thread> workers;
  for (int i = 0; i < wanted.workers; ++i) {
    workers.emplace_back([&all, i] { compute(all, i); });
  }
  std::vector<long> ticks;
  std::exception_ptr trouble;
  const auto start = std::chrono::steady_clock::now();
  treadle::thread logging([&] {
    try {
      ticks = write_lines(log, wanted.lines, all);
    } catch (...) {
      trouble = std::current_exception();
    }
    all.over = true;
  });
  logging.join();
  for (treadle::thread& worker : workers) worker.join();
  if (trouble) std::rethrow_exception(trouble);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  std::sort(ticks.begin(), ticks.end());
  const auto model = treadle::to_string(treadle::runtime::current().model());
  std::printf(
      "%.*s: %d lines synced, %.0f us each; %d workers ticked %ld times, during a line at "
      "least %ld times, %ld at the median\n",
      static_cast<int>(model.size()), model.data(), wanted.lines, took.count() / wanted.lines,
      wanted.workers, all.ticks.load(), ticks.front(), ticks[ticks.size() / 2]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "logger: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "logger: %s\n", error.what());
    return 1;
  }
}
