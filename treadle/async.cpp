#include "treadle/async.hpp"

namespace treadle::detail {

void async_thread::join() {
  if (joined_.is_done() || !joined_.begin()) return;
  thread_.join();
  joined_.finish(true);
}

bool async_thread::end() {
  if (!thread_.joinable()) return true;
  if (thread_.get_id() == this_thread::get_id()) {
    thread_.detach();
    return false;
  }
  thread_.join();
  return true;
}

}  // namespace treadle::detail
