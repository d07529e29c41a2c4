// Writing over the same line again and again.
#include "treadle/cli/progress_line.hpp"
#include "treadle/cli/standard_streams.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace treadle::cli {
namespace {

// A longer text would wrap, and only the last of its lines could be cleared.
std::size_t columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 79;
  return size.ws_col - 1u;
}

// Back to the start of the line, and erase to its end (ECMA-48 EL).
constexpr std::string_view fresh_line = "\r\x1b[K";

}  // namespace

progress_line::progress_line() : on_(::isatty(STDERR_FILENO) == 1) {}

progress_line::~progress_line() { clear(); }

void progress_line::show(std::string_view text) {
  if (!on_) return;
  say(fmt::format("{}{}", fresh_line, text.substr(0, columns())));
  std::fflush(stderr);
  shown_ = true;
}

void progress_line::clear() {
  if (!on_ || !shown_) return;
  say(std::string(fresh_line));
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace treadle::cli
