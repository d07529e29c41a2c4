#include "treadle/base/check.hpp"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "treadle/base/atomic.hpp"

namespace treadle::base {
namespace {

// Sourced: POSIX makes writes of up to PIPE_BUF (at least 512) bytes to a pipe atomic.
constexpr std::size_t line_bytes_max = 512;

struct line {
  char text[line_bytes_max];
  std::size_t size = 0;

  void add(std::string_view part) noexcept {
    const std::size_t room = line_bytes_max - 1 - size;
    const std::size_t count = part.size() < room ? part.size() : room;
    std::memcpy(text + size, part.data(), count);
    size += count;
  }
  void write_out() noexcept {
    text[size++] = '\n';
    // Nothing can be done about a failing write while dying.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, size);
  }
};

atomic<name_caller_function> name_caller{nullptr};
atomic<bool> watching{false};
atomic<bool> ending{false};

}  // namespace

void set_name_caller(name_caller_function function) noexcept {
  name_caller.store(function, release);  // pairs with fail_misuse(), publishes the function's data
}

bool process_is_ending() noexcept { return ending.load(relaxed); }  // relaxed: same thread mostly

void watch_for_exit() noexcept {
  if (watching.exchange(true, relaxed)) return;  // relaxed: only who comes first matters
  std::atexit([] { ending.store(true, relaxed); });
}

void say(std::string_view text) noexcept {
  line out;
  out.add("treadle: ");
  out.add(text);
  out.write_out();
}

void fail_check(const char* text, const char* file, int line_number) noexcept {
  char digits[12];
  std::size_t first = sizeof(digits);
  unsigned rest = static_cast<unsigned>(line_number);
  do {
    digits[--first] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  line out;
  out.add("treadle: ");
  out.add(text);
  out.add(" (");
  out.add(file);
  out.add(":");
  out.add({digits + first, sizeof(digits) - first});
  out.add(")");
  out.write_out();
  std::abort();
}

void fail_misuse(std::string_view call, std::string_view text) noexcept {
  line out;
  out.add("treadle: ");
  out.add(call);
  out.add(": ");
  out.add(text);
  if (const auto function = name_caller.load(acquire)) {  // pairs with set_name_caller()
    char who[96];
    out.add(", in thread ");
    out.add({who, function(who, sizeof(who))});
  }
  out.write_out();
  std::abort();
}

}  // namespace treadle::base
