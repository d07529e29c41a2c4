#include "treadle/scope.hpp"

#include <cstdint>

#include "treadle/runtime.hpp"

namespace treadle {
core::scheduler_port& scope::scheduler_for_foreign() {
  return detail::launch::scheduler_of(runtime::current());
}

void scope::rethrow_unless_unwinding() {
  if (std::uncaught_exceptions() <= uncaught_) std::rethrow_exception(first_);
}

void scope::fail_owner(const char* call) {
  base::fail_misuse(call, "the scope belongs to another thread");
}

void scope::discard(core::thread& unstarted) noexcept { scheduler_.discard(unstarted); }

void scope::keep(std::exception_ptr thrown) noexcept {
  const base::guard hold(lock_);
  if (!first_) first_ = std::move(thrown);
}

void scope::wait_for_late() noexcept {
  const std::int64_t late = std::exchange(left_behind, 0);
  // acq_rel: acquire what the children did; see fork_point for the counting
  if (outstanding.fetch_add(late, base::acq_rel) + late == 0) return;
  core::scheduler_port& own = *parent->scheduler;
  while (outstanding.load(base::acquire) != 0) {  // pairs with the last child's end
    static_cast<void>(own.park(core::wait_reason::scope, core::deadline::never()));
  }
}

void scope::rethrow() { std::rethrow_exception(std::exchange(first_, nullptr)); }

}  // namespace treadle
