// How a kernel thread parks on its own token: 1:1, and foreign kernel threads.
//
// A wake that comes late, for a park before this one or for a thread that had the record before,
// ends the wait of the futex but not the park. Of a token and a time-out that meet the word says
// which it is.
#pragma once

#include "treadle/base/clock.hpp"
#include "treadle/base/futex.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/thread/token.hpp"

namespace treadle::core {

struct token_futex {
  static void wait(const park_token& permit, base::deadline until) noexcept {
    base::futex_wait(permit.word().word(), park_token::asleep, until);
  }
  static bool has_passed(base::deadline until) noexcept { return until.has_passed(); }
};

// The owner, when it has found no token. True: one has come, and is used up. False: timed out.
template <class Token, class Futex = token_futex>
[[nodiscard]] bool sleep_on_token(Token& permit, base::deadline until) noexcept {
  if (!permit.fall_asleep()) return true;
  // From here to come_back() nothing shared is touched but by reading.
  const bool away = base::go_away();
  bool expired = false;
  // acquire, below and in stay_awake(): pairs with unpark()
  while (permit.word().load(base::acquire) == Token::asleep) {
    Futex::wait(permit, until);
    expired = Futex::has_passed(until);
    if (expired) break;
  }
  if (away) base::come_back();
  return !expired || !permit.stay_awake();
}

}  // namespace treadle::core
