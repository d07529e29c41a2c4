#include "treadle/scope.hpp"

#include <cstdint>

#include "treadle/runtime.hpp"

namespace treadle {
namespace {

// Where a scope's children run: with their parent, or for a foreign kernel thread in the default
// runtime.
core::scheduler_port& scheduler_for_children() {
  core::scheduler_port& own = *core::current_thread().scheduler;
  return own.owner != nullptr ? own : detail::launch::scheduler_of(runtime::current());
}

}  // namespace

scope::scope() : scheduler_(scheduler_for_children()) { point_.parent = &core::current_thread(); }

scope::~scope() noexcept(false) {
  wait();
  if (first_ && std::uncaught_exceptions() <= uncaught_) std::rethrow_exception(first_);
}

core::thread* scope::create(std::size_t bytes, std::size_t alignment,
                            core::closure_function entry) {
  if (point_.parent != &core::current_thread()) [[unlikely]] {
    base::fail_misuse("scope::spawn", "the scope belongs to another thread");
  }
  core::creation wanted;
  wanted.closure_bytes = bytes + alignment;
  wanted.bind_now = true;
  core::thread* made = nullptr;
  if (const int error = scheduler_.create(wanted, made)) [[unlikely]] {
    detail::launch::fail(error);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(made->body->closure);
  made->body->closure = reinterpret_cast<void*>((address + alignment - 1) & ~(alignment - 1));
  made->body->entry = entry;
  return made;
}

void scope::discard(core::thread& unstarted) noexcept { scheduler_.discard(unstarted); }

void scope::keep(std::exception_ptr thrown) noexcept {
  const base::guard hold(lock_);
  if (!first_) first_ = std::move(thrown);
}

void scope::wait() noexcept {
  const std::int64_t late = std::exchange(point_.left_behind, 0);
  if (late == 0) return;
  // acq_rel: acquire what the children did; see fork_point for the counting
  if (point_.outstanding.fetch_add(late, base::acq_rel) + late == 0) return;
  core::scheduler_port& own = *point_.parent->scheduler;
  while (point_.outstanding.load(base::acquire) != 0) {  // pairs with the last child's end
    static_cast<void>(own.park(core::wait_reason::scope, core::deadline::never()));
  }
}

void scope::join() {
  if (point_.parent != &core::current_thread()) [[unlikely]] {
    base::fail_misuse("scope::join", "the scope belongs to another thread");
  }
  wait();
  if (first_) [[unlikely]] {
    std::rethrow_exception(std::exchange(first_, nullptr));
  }
}

}  // namespace treadle
