#include "treadle/lifecycle.hpp"

#include <unistd.h>

#include <cerrno>

#include "treadle/sched/stop_alarm.hpp"
#include "treadle/sched/worker.hpp"
#include "treadle/thread/names.hpp"
#include "treadle/thread/record_list.hpp"

namespace treadle {
namespace {

std::string_view why_of(core::wait_reason why) noexcept {
  return core::reason_names[static_cast<std::size_t>(why)];
}

}  // namespace

void this_thread::cancellation_point() {
  const std::stop_token* own = core::own_stop_token(core::current_thread());
  if (own != nullptr && own->stop_requested()) throw cancelled();
}

std::string_view to_string(thread_state which) noexcept {
  return core::state_names[static_cast<std::size_t>(which)];
}

std::string_view to_string(priority which) noexcept {
  constexpr std::string_view names[] = {"background", "low", "normal", "high", "urgent"};
  return names[static_cast<int>(which) - static_cast<int>(priority::background)];
}

std::vector<thread_status> list_threads() {
  std::vector<thread_status> all;
  core::list_records(
      [](void* context, const core::record_view& one) {
        static_cast<std::vector<thread_status>*>(context)->push_back(
            {one.id, one.name, one.now.state, why_of(one.now.why), one.level.own,
             one.level.effective});
      },
      &all);
  return all;
}

void dump_threads(int descriptor) {
  std::string text;
  for (const thread_status& one : list_threads()) {
    text += "thread " + std::to_string(one.number) + " ";
    if (!one.name.empty()) text += '"' + one.name + "\" ";
    text += to_string(one.state);
    if (!one.why.empty()) text += " (" + std::string(one.why) + ")";
    if (one.own != priority::normal || one.effective != priority::normal) {
      text += ", priority " + std::string(to_string(one.own));
      if (one.effective != one.own) text += ", lent " + std::string(to_string(one.effective));
    }
    text += '\n';
  }
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(descriptor, text.data() + done, text.size() - done);
    if (wrote <= 0 && errno != EINTR) return;
    if (wrote > 0) done += static_cast<std::size_t>(wrote);
  }
}

}  // namespace treadle
