#include "treadle/io/own_descriptor.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_poller.hpp"
#include "treadle/io/descriptor_table.hpp"

namespace treadle::io {
namespace {

template <class Close>
void close_as_none(int number, Close&& close) noexcept {
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
    close(number);
  } else {
    close(number);
  }
  errno = saved;
}

}  // namespace

int move_high(int number) noexcept {
  const int high = base::duplicate_high(number);
  if (high < 0) return number;
  close_as_none(number, [](int one) { ::close(one); });
  return high;
}

void close_own(int number) noexcept {
  close_as_none(number, [](int one) { ::syscall(SYS_close, one); });
}

}  // namespace treadle::io
