#include "treadle/task_group.hpp"

#include <algorithm>
#include <new>

namespace treadle {

task_group::~task_group() {
  request_stop();
  children_.join();  // its children throw nothing
  while (later_ != nullptr) delete std::exchange(later_, later_->next);
}

void task_group::wait() {
  children_.join();
  const std::exception_ptr first = [this] {
    const base::guard hold(lock_);
    return first_;
  }();
  if (first) std::rethrow_exception(first);
}

void task_group::fail(std::exception_ptr thrown) noexcept {
  // Ahead, as nothing may be allocated with the lock held.
  auto* const later = new (std::nothrow) later_error{thrown, nullptr};
  bool is_first = false;
  {
    const base::guard hold(lock_);
    if (!first_) {
      first_ = std::move(thrown);
      is_first = true;
    } else if (later != nullptr) {
      later->next = later_;
      later_ = later;
    }
  }
  if (!is_first) return;
  delete later;
  request_stop();
}

std::vector<std::exception_ptr> task_group::errors() const {
  std::vector<std::exception_ptr> all;
  const later_error* from = nullptr;
  {
    const base::guard hold(lock_);
    if (!first_) return all;
    from = later_;  // the chain behind it does not change
  }
  for (const later_error* each = from; each != nullptr; each = each->next) {
    all.push_back(each->error);
  }
  all.push_back(first_);  // not changed once it is set
  std::reverse(all.begin(), all.end());
  return all;
}

}  // namespace treadle
