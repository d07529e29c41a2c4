#include "treadle/shim/say.hpp"

#include <sys/syscall.h>

#include <cstddef>

#include "treadle/shim/kernel_call.hpp"

namespace treadle::shim {
namespace {

struct line {
  char text[512];  // sourced: POSIX makes writes of up to so many bytes to a pipe atomic
  std::size_t size = 0;

  void add(const char* part) noexcept {
    while (*part != '\0' && size < sizeof(text) - 1) text[size++] = *part++;
  }
  void add(long number) noexcept {
    char digits[24];
    std::size_t first = sizeof(digits);
    auto rest = static_cast<unsigned long>(number < 0 ? -number : number);
    digits[--first] = '\0';
    do {
      digits[--first] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (number < 0) digits[--first] = '-';
    add(digits + first);
  }
  void write_out() noexcept {
    text[size++] = '\n';
    kernel_call(SYS_write, 2, text, size);
  }
};

}  // namespace

void say(const char* text, const char* more) noexcept {
  line out;
  out.add("treadle: ");
  out.add(text);
  out.add(more);
  out.write_out();
}

void fail(const char* text, long number) noexcept {
  line out;
  out.add("treadle: ");
  out.add(text);
  if (number != 0) out.add(number);
  out.write_out();
  for (;;) kernel_call(SYS_exit_group, 2);
}

}  // namespace treadle::shim
