#include "treadle/thread.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include "treadle/base/cpu_width.hpp"
#include "treadle/runtime.hpp"
#include "treadle/sched/join.hpp"
#include "treadle/sched/loans.hpp"
#include "treadle/sched/stop_alarm.hpp"
#include "treadle/thread/body.hpp"

namespace treadle {
namespace detail {

void launch::fail(int error) {
  // std::thread gives resource_unavailable_try_again for all of them; the cause goes in the text.
  throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                          std::string("treadle: a thread could not be started (") +
                              std::generic_category().message(error) + ")");
}

core::scheduler_port& launch::scheduler_of(runtime& in) noexcept { return *in.process_scope_; }

core::scheduler_port& launch::scheduler_for(const thread_attributes& attributes) {
  if (attributes.stack_bytes != 0 &&
      (attributes.stack_bytes < stack_bytes_min || attributes.stack_bytes > stack_bytes_max)) {
    throw std::invalid_argument("treadle: thread_attributes::stack_bytes is " +
                                std::to_string(attributes.stack_bytes) + ", allowed are " +
                                std::to_string(stack_bytes_min) + " to " +
                                std::to_string(stack_bytes_max) + " (16K to 8M)");
  }
  if (!core::is_priority(attributes.priority)) {
    throw std::invalid_argument("treadle: thread_attributes::priority is " +
                                std::to_string(static_cast<int>(attributes.priority)) +
                                ", allowed are background to urgent (-2 to 2)");
  }
  if (attributes.scope != contention_scope::process &&
      attributes.scope != contention_scope::system) {
    throw std::invalid_argument("treadle: thread_attributes::scope is " +
                                std::to_string(static_cast<int>(attributes.scope)) +
                                ", allowed are process and system (0 and 1)");
  }
  runtime& in = runtime::current();
  return attributes.scope == contention_scope::system ? *in.system_scope_ : *in.process_scope_;
}

core::scheduler_port& launch::default_scheduler() { return scheduler_of(runtime::current()); }

core::thread* launch::start_with(const thread_attributes& attributes,
                                 core::scheduler_port& scheduler, core::closure_function entry,
                                 core::small_closure closure) {
  core::thread* made = nullptr;
  core::creation wanted;
  wanted.stack_bytes = attributes.stack_bytes;
  wanted.name = attributes.name;
  wanted.bind_now = !attributes.name.empty();
  if (const int error = scheduler.create(wanted, made)) [[unlikely]]
    fail(error);
  if (made->bound) {
    made->body->entry = entry;
    closure.copy_to(made->body->inline_closure);
  } else {
    made->begin_with(entry, closure);
  }
  if (attributes.priority != priority::normal) {
    scheduler.use_levels();
    // relaxed: nobody else knows the thread yet
    made->level.store({attributes.priority, attributes.priority}, base::relaxed);
  }
  if (const int error = scheduler.start(*made)) [[unlikely]] {
    scheduler.discard(*made);
    fail(error);
  }
  return made;
}

void launch::fail_to_join(const core::thread* which) {
  if (which == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "treadle: thread::join: not joinable");
  }
  throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                          "treadle: thread::join: a thread cannot join itself");
}

bool launch::try_join(core::thread*& which, const wait_limit& limit) {
  check_joinable(which, core::current_thread());
  if (!core::join_within(*which, limit)) return false;
  which = nullptr;
  return true;
}

void launch::detach(core::thread*& which) {
  if (which == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "treadle: thread::detach: not joinable");
  }
  core::detach(*which);
  which = nullptr;
}

bool launch::set_priority(core::thread* which, core::priority wanted) {
  if (which == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "treadle: thread::set_priority: not joinable");
  }
  return core::set_own_priority(*which, wanted) == 0;
}

core::thread_level launch::level_of(const core::thread* which) {
  if (which == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "treadle: thread::priority: not joinable");
  }
  return which->level.load(base::relaxed);  // relaxed: a moment's
}

core::thread_state launch::state_of(const core::thread* which) {
  if (which == nullptr) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "treadle: thread::state: not joinable");
  }
  return which->now.load(base::relaxed).state;  // relaxed: a moment's
}

own_stop_token::own_stop_token(const std::stop_token& token) noexcept
    : before_(std::exchange(core::current_thread().body->stop, &token)) {}

own_stop_token::~own_stop_token() { core::current_thread().body->stop = before_; }

}  // namespace detail

unsigned thread::hardware_concurrency() noexcept { return base::usable_width(); }

std::string_view this_thread::name() noexcept { return core::current_thread().body->name; }

void this_thread::set_name(std::string_view text) noexcept {
  core::current_thread().body->set_name(text);
}

priority this_thread::priority() noexcept {
  return core::current_thread().level.load(base::relaxed).own;  // relaxed: a moment's
}

priority this_thread::effective_priority() noexcept {
  return core::current_thread().level.load(base::relaxed).effective;  // relaxed: a moment's
}

bool this_thread::set_priority(treadle::priority wanted) noexcept {
  return core::set_own_priority(core::current_thread(), wanted) == 0;
}

std::stop_token this_thread::stop_token() noexcept {
  const std::stop_token* own = core::own_stop_token(core::current_thread());
  return own != nullptr ? *own : std::stop_token();
}

bool this_thread::detail::sleep(base::deadline until, const std::stop_token& stop) noexcept {
  core::thread& self = core::current_thread();
  const core::stop_alarm alarm(self, stop, core::own_stop_token(self));
  const auto is_over = [until]() noexcept { return until.has_passed(); };
  // A stop that has come already wins, or a loop of sleeps that are too short would not see it.
  if (alarm.has_rung() || until.has_passed()) {
    yield();
    return !alarm.has_rung();
  }
  return core::park_until(self, core::wait_reason::sleep, until, alarm, is_over) !=
         core::wait_end::stopped;
}

}  // namespace treadle
