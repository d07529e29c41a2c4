#include "treadle/io/own_descriptor.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_table.hpp"

namespace treadle::io {

int move_high(int number) noexcept {
  const int high = base::duplicate_high(number);
  if (high < 0) return number;
  const int saved = errno;
  int error = 0;
  if (descriptor* which = descriptor_table::instance().find(number, error)) {
    // As close() does.
    const base::guard hold(which->lock);
    which->begin_lifetime();
    ::close(number);
  } else {
    ::close(number);
  }
  errno = saved;
  return high;
}

}  // namespace treadle::io
