#include "treadle/io/own_descriptor.hpp"

#include <unistd.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/descriptor_table.hpp"

namespace treadle::io {
namespace {

void close_as_none(int number) noexcept {
  const int saved = errno;
  int error = 0;
  if (descriptor* which = descriptor_table::instance().find(number, error)) {
    // As forget() and close() do.
    const base::guard hold(which->lock);
    if (which->home != nullptr) {
      // relaxed: under the lock
      const std::uint32_t lifetime = which->lifetime.load(base::relaxed);
      which->home->unwatch(number, lifetime, watch_kind::all, nullptr);
    }
    which->begin_lifetime();
    ::close(number);
  } else {
    ::close(number);
  }
  errno = saved;
}

}  // namespace

int move_high(int number) noexcept {
  const int high = base::duplicate_high(number);
  if (high < 0) return number;
  close_as_none(number);
  return high;
}

}  // namespace treadle::io
