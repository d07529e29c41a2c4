// One run of a program, watched from outside: what it took, how it ended, what it wrote.
//
// The program has a process group of its own. Whatever it leaves behind when it ends (children in
// the background, daemons) is ended with it, also after Ctrl-C: this process is their subreaper.
// Call from a process with one kernel thread, as the child goes on with our code after fork().
// Time begins when the program is executed, not when its process is made.
// Rejected: posix_spawn, which shares our memory until the program is executed, so that the kernel
// counts our size as the program's; files for what it writes, which may be larger than the disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace treadle::cli {

// Two texts are the same when both numbers are: enough to find a difference, not to prevent one.
struct text_digest {
  std::uint64_t bytes = 0;
  std::uint64_t hash = 0;
  bool operator==(const text_digest&) const = default;
};

struct run_request {
  // In the child: becomes the program, or returns an exit status after a line on stderr.
  std::function<int()> become;
  std::string input_file;  // its standard input
  std::chrono::milliseconds limit{};
  bool counts_calls = false;  // hand TREADLE_STATS to `become`: see stats_path()
};

// The kernel counts what a process had before execve(), which is a copy of this command.
// Measured: 3.2 MiB in a debug build; the rest is room.
inline constexpr double memory_known_bytes = 4 * 1024 * 1024;

struct watched_run {
  // Empty, or why it did not become the program: what it said last.
  std::string why_not;
  int become_status = 0;  // then: what `become` returned
  bool in_time = true;
  int status = 0;  // as waitpid() gives it
  double wall_ns = 0;
  // Of the program and all that it started, as far as somebody has waited for it.
  double user_ns = 0;
  double system_ns = 0;
  double voluntary = 0;  // switches
  double involuntary = 0;
  // The largest process at its largest; below memory_known_bytes it may be our own copy.
  double memory_bytes = 0;
  double kernel_threads = 0;        // at most, of those looks that were taken; 0: too short for one
  std::optional<double> avoided{};  // system calls, as the shim counts them
  text_digest out;
  text_digest err;
  std::string last_words;  // the last line on stderr
};

// The user wants to end it: thrown when nothing of the program is left.
struct interrupted {
  int signal;
};

// Throws std::system_error when no process can be made.
watched_run watch(const run_request& request);

// Only in `become`, right before it executes the program: from here on time counts. Elsewhere it
// does nothing.
void note_start() noexcept;
// Only in `become`: the file that the shim may write its numbers to.
std::string stats_path();

}  // namespace treadle::cli
