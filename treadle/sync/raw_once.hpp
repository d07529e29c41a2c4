// The state machine behind once_flag: idle, running, done; a failed run goes back to idle.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/sync/wait_list.hpp"

namespace treadle::sync {

class raw_once {
 public:
  constexpr raw_once() noexcept = default;
  raw_once(const raw_once&) = delete;
  raw_once& operator=(const raw_once&) = delete;

  bool is_done() const noexcept {
    return state_.load(base::acquire) == done;  // pairs with finish(), publishes what the run did
  }
  // True: the caller must run, then call finish(). False: done by somebody else. Parks meanwhile.
  bool begin() noexcept;
  void finish(bool success) noexcept;

  // The parts of begin(), for tasks.
  enum class step : std::uint8_t { must_run, is_done, is_listed };
  step begin_or_enlist(waiter& node) noexcept;

 private:
  enum : std::uint8_t { idle, running, done };

  base::atomic<std::uint8_t> state_{idle};
  base::spin_lock lock_;
  // Guarded by lock_.
  wait_list list_;
};

}  // namespace treadle::sync
