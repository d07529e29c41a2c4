#include "treadle/sync/raw_latch.hpp"

#include "treadle/base/check.hpp"

namespace treadle::sync {

// With lock_ held.
bool raw_latch::count_down_to_zero(std::ptrdiff_t by, const char* call) noexcept {
  // acq_rel: acquire what the others did before counting down, release it to the waiters
  const std::ptrdiff_t before = count_.fetch_sub(by, base::acq_rel);
  if (before < by) base::fail_misuse(call, "the count would become negative");
  return before == by;
}

void raw_latch::count_down(std::ptrdiff_t by) noexcept {
  std::ptrdiff_t seen = count_.load(base::relaxed);  // relaxed: validated by the CAS
  while (seen > by) {
    // release: pairs with the last count_down(), which passes it on to the waiters
    if (count_.compare_exchange_weak(seen, seen - by, base::release, base::relaxed)) return;
  }
  waiter* all = nullptr;
  {
    const base::guard hold(lock_);
    if (count_down_to_zero(by, "latch::count_down")) all = list_.pop_all();
  }
  wait_list::grant_all(all);
}

bool raw_latch::arrive_and_enlist(std::ptrdiff_t by, waiter& node) noexcept {
  waiter* all = nullptr;
  {
    const base::guard hold(lock_);
    if (!count_down_to_zero(by, "latch::arrive_and_wait")) {
      list_.push_back(node);
      return true;
    }
    all = list_.pop_all();
  }
  wait_list::grant_all(all);
  return false;
}

bool raw_latch::try_wait() noexcept {
  if (count_.load(base::acquire) != 0) return false;  // pairs with count_down()
  const base::guard pass(lock_);
  return true;
}

bool raw_latch::enlist(waiter& node) noexcept {
  const base::guard hold(lock_);
  if (count_.load(base::acquire) == 0) return false;  // pairs with count_down()
  list_.push_back(node);
  return true;
}

bool raw_latch::take_out(waiter& node) noexcept {
  const base::guard hold(lock_);
  if (node.popped) return false;
  list_.remove(node);
  return true;
}

void raw_latch::wait() noexcept {
  if (try_wait()) return;
  waiter node(core::current_thread());
  if (enlist(node)) node.wait(core::wait_reason::latch, base::deadline::never());
}

void raw_latch::arrive_and_wait(std::ptrdiff_t by) noexcept {
  waiter node(core::current_thread());
  if (arrive_and_enlist(by, node)) node.wait(core::wait_reason::latch, base::deadline::never());
}

bool raw_latch::wait(const base::wait_limit& limit) noexcept {
  if (try_wait()) return true;
  core::thread& self = core::current_thread();
  const core::stop_alarm alarm(self, limit.stop());
  waiter node(self);
  if (!enlist(node)) return true;
  if (node.wait(core::wait_reason::latch, limit.until(), alarm)) return true;
  if (take_out(node)) return false;
  return node.wait(core::wait_reason::latch, base::deadline::never());  // the grant is on its way
}

}  // namespace treadle::sync
