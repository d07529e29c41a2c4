#include "treadle/base/timer_slack.hpp"

#include <sys/prctl.h>

#include <cerrno>

namespace treadle::base {

std::int64_t timer_slack_nanoseconds() noexcept {
  const int saved = errno;
  const int slack = ::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
  errno = saved;
  return slack > 0 ? slack : 0;
}

}  // namespace treadle::base
