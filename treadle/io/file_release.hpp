// How a poller that holds a file open tells whoever closes it that it does so no longer; or that it
// no longer receives from it.
//
// On the stack of the thread that asks, which parks until then. tell() is the poller's last
// touch. The poller may keep them in a list.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::io {

// A set of a descriptor's requests.
enum class watch_kind : std::uint8_t {
  events = 1,   // it is watched
  receipt = 2,  // it is received from
  end = 4,      // beside a receipt: its end is reported
  receiving = receipt | end,
  all = events | receiving,
};
constexpr bool covers(watch_kind set, watch_kind part) noexcept {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(part)) != 0;
}

class file_release {
 public:
  file_release() noexcept : waiter_(&core::current_thread()) {}
  file_release(const file_release&) = delete;
  file_release& operator=(const file_release&) = delete;

  // The poller's, until tell().
  file_release* next = nullptr;
  int number = -1;
  std::uint32_t lifetime = 0;
  watch_kind what = watch_kind::all;
  std::uint32_t id = 0;  // by which the poller tells the answers for several of them apart
  int answers = 0;       // still to come
  // By kind (requests::kinds): requests that have not ended yet, when all answers are there. Below
  // zero when one had ended by itself before it was asked to, which says nothing of another kind.
  int ending[3] = {};

  bool is_over() const noexcept {
    return answers == 0 && ending[0] <= 0 && ending[1] <= 0 && ending[2] <= 0;
  }

  void tell() noexcept {
    core::thread& waiter = *waiter_;
    told_.store(true, base::release);  // pairs with wait(); what follows touches only the record
    core::scheduler_port::unpark(waiter);
  }
  void wait() noexcept {
    while (!told_.load(base::acquire)) {  // pairs with tell()
      static_cast<void>(waiter_->scheduler->park(core::wait_reason::io, base::deadline::never()));
    }
  }

 private:
  core::thread* const waiter_;
  base::atomic<bool> told_{false};
};

}  // namespace treadle::io
