// A kernel thread outside of every runtime that ends the soak when a turn does not.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>

#include "tests/soak/part.hpp"

namespace soak {

class watchdog {
 public:
  // With `hold` the process is left as it is, for a debugger.
  watchdog(const std::deque<seat>& seats, std::chrono::seconds patience, bool hold);
  ~watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

 private:
  void watch() const;
  void tell(const seat& stuck, double seconds) const;

  const std::deque<seat>& seats_;
  const std::chrono::seconds patience_;
  const bool hold_;
  std::atomic<bool> over_{false};
  std::thread watching_;
};

}  // namespace soak
