// Wires the rooms: the only file that names the concrete schedulers.
#include "treadle/runtime.hpp"

#include <unistd.h>

#include <cstdio>
#include <new>
#include <stdexcept>
#include <system_error>

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/context/overflow_report.hpp"
#include "treadle/deadline_scope.hpp"
#include "treadle/io/blocking_pool.hpp"
#include "treadle/io/epoll_poller.hpp"
#include "treadle/io/file_ring.hpp"
#include "treadle/io/uring_poller.hpp"
#include "treadle/sched/many_to_many.hpp"
#include "treadle/sched/many_to_one.hpp"
#include "treadle/sched/one_to_one.hpp"
#include "treadle/sync/raw_hazards.hpp"
#include "treadle/sync/raw_rcu.hpp"
#include "treadle/task/engine.hpp"
#include "treadle/thread/body.hpp"

// A note in every program and library that brings Treadle: it needs no shim, and must not get one
// (treadle/shim/start.cpp, treadle/cli/program_file.cpp).
asm(R"(
  .pushsection .note.treadle, "a", %note
  .balign 4
  .long 8, 0, 1
  .asciz "Treadle"
  .popsection
)");

namespace treadle {
namespace {

// For the overflow report: whose stack is this? Runs in a signal handler.
bool describe(const context::stack& memory, context::overflow_subject* out) {
  const auto* body =
      reinterpret_cast<const core::thread_body*>(memory.top - sizeof(core::thread_body));
  const core::thread* owner = body->owner.load(base::acquire);  // pairs with the binding
  if (owner == nullptr) return false;
  out->thread = owner->id;
  out->name = body->name;
  out->stack_bytes = body->stack_bytes != 0 ? body->stack_bytes : memory.arena->stack_bytes();
  return true;
}

// For reports of misuse: the calling thread, as `417 "session"`.
std::size_t name_caller(char* out, std::size_t size) noexcept {
  const core::thread* self = core::current_thread_or_null();
  int written;
  if (self == nullptr) {
    written = std::snprintf(out, size, "(a kernel thread unknown to the runtime)");
  } else if (self->body->name[0] == '\0') {
    written = std::snprintf(out, size, "%u", self->id);
  } else {
    written = std::snprintf(out, size, "%u \"%s\"", self->id, self->body->name);
  }
  const auto length = written < 0 ? 0 : static_cast<std::size_t>(written);
  return length < size ? length : size - 1;
}

struct default_settings {
  base::spin_lock lock;
  // Guarded by lock.
  runtime_options options;
  bool started = false;
};

default_settings& defaults() {
  static default_settings settings;
  return settings;
}

void say_once_that_epoll_is_used() noexcept {
  static constinit base::atomic<bool> said{false};
  if (said.exchange(true, base::relaxed)) return;  // relaxed: only who is first matters
  base::say("io_uring was asked for, but the kernel refuses it; sockets use epoll");
}

[[noreturn]] void fail_to_start(int error) {
  throw std::system_error(error, std::generic_category(),
                          "treadle: the runtime could not be started");
}

}  // namespace

// Of the fiber models one is made; 1:1 is always there, for threads with system scope.
struct runtime::schedulers {
  explicit schedulers(core::stack_sizes sizes) : kernel(sizes) {}
  std::unique_ptr<io::descriptor_poller> events;  // the fiber models'
  std::unique_ptr<core::many_to_one> single;
  std::unique_ptr<core::many_to_many> many;
  core::one_to_one kernel;
  std::unique_ptr<tasks::engine> tasks;
  bool on_main_thread = false;  // its worker is the main thread: never closed
};

runtime::runtime(runtime_options options) : settings_(resolve(options)) { open(false); }

runtime::runtime(runtime_options options, default_tag) : settings_(resolve(options)) {
  open(settings_.model == model::many_to_one && ::getpid() == ::gettid() &&
       core::current_worker_or_null() == nullptr);
}

void runtime::open(bool on_this_thread) {
  base::watch_for_exit();
  base::set_name_caller(&name_caller);
  context::set_stack_describer(&describe);
  context::install_overflow_handler();
  io::blocking_pool::of_process().set_threads_max(settings_.blocking_threads);
  io::file_ring::choose(settings_.file_calls);
  const core::stack_sizes sizes{settings_.stack_bytes, settings_.guard_bytes};
  schedulers_ = std::make_unique<schedulers>(sizes);
  schedulers_->on_main_thread = on_this_thread;
  system_scope_ = &schedulers_->kernel;
  int error = 0;
  switch (settings_.model) {
    case model::many_to_one:
      open_events();
      schedulers_->single = std::make_unique<core::many_to_one>(sizes);
      process_scope_ = schedulers_->single.get();
      adopt_schedulers();
      open_tasks();
      error = on_this_thread ? schedulers_->single->open_here() : schedulers_->single->open();
      break;
    case model::one_to_one:
      settings_.socket_events = io::socket_events::epoll;
      process_scope_ = system_scope_;
      adopt_schedulers();
      open_tasks();
      break;
    case model::many_to_many:
      open_events();
      schedulers_->many = std::make_unique<core::many_to_many>(
          settings_.width, sizes,
          core::activation_settings{settings_.activation, settings_.slice.count()});
      process_scope_ = schedulers_->many.get();
      adopt_schedulers();
      open_tasks();
      error = schedulers_->many->open();
      break;
  }
  if (error != 0) fail_to_start(error);
}

// io_uring is opened now, so that everybody knows what is used; epoll opens nothing before a thread
// has to wait for a descriptor.
void runtime::open_events() {
  if (settings_.socket_events == io::socket_events::uring) {
    // One kernel thread runs all threads of m:1, and nobody else needs the ring.
    const bool alone = settings_.model == model::many_to_one;
    auto ring = std::make_unique<io::uring_poller>(alone ? io::ring_owner::whoever_polls
                                                         : io::ring_owner::own_thread);
    socket_events_refusal_ = ring->open();
    if (socket_events_refusal_ == 0) {
      schedulers_->events = std::move(ring);
      return;
    }
    settings_.socket_events = io::socket_events::epoll;
    say_once_that_epoll_is_used();
  }
  schedulers_->events = std::make_unique<io::epoll_poller>();
}

// Before the first thread can run.
void runtime::adopt_schedulers() noexcept {
  process_scope_->owner = system_scope_->owner = this;
  process_scope_->for_children = system_scope_->for_children = process_scope_;
  if (process_scope_ != system_scope_) process_scope_->events = schedulers_->events.get();
}

// When the scheduler knows its width.
void runtime::open_tasks() {
  schedulers_->tasks = std::make_unique<tasks::engine>(
      *process_scope_, settings_.model != treadle::model::many_to_one);
  process_scope_->tasks = system_scope_->tasks = schedulers_->tasks.get();
}

runtime::~runtime() {
  const core::thread* self = core::current_thread_or_null();
  if (self != nullptr && self->scheduler->owner == this) {
    base::fail_misuse("runtime::~runtime", "called from a thread of the same runtime");
  }
  detail::end_deadlines(*this);
  schedulers_->tasks->end();
  // Threads of either scope may start threads of the other: both are quiet when a whole round
  // finds nothing new.
  std::uint64_t before;
  do {
    before = counters().threads_started;
    schedulers_->kernel.close();
    if (schedulers_->single) schedulers_->single->settle();
    if (schedulers_->many) schedulers_->many->settle();
  } while (counters().threads_started != before);
  detail::forget_deadlines(*this);
  schedulers_->tasks.reset();
  if (schedulers_->single) schedulers_->single->close();
  if (schedulers_->many) schedulers_->many->close();
  // What this runtime's threads have retired, and nobody reads.
  sync::raw_rcu::of_process().reclaim();
  sync::raw_hazards::of_process().reclaim();
}

const core::activation_report& runtime::activation() const noexcept {
  static constexpr core::activation_report none;
  return schedulers_->many ? schedulers_->many->activation() : none;
}

runtime_counters runtime::counters() const noexcept {
  runtime_counters sum = process_scope_->counters();
  if (process_scope_ != system_scope_) {
    const runtime_counters more = system_scope_->counters();
    sum.threads_started += more.threads_started;
    sum.threads_finished += more.threads_finished;
  }
  return sum;
}

runtime& runtime::default_runtime() {
  // Never destroyed: threads may still run while static objects are.
  static runtime* const instance = [] {
    default_settings& settings = defaults();
    runtime_options options;
    {
      const base::guard hold(settings.lock);
      options = settings.options;
    }
    auto* made = new runtime(options, default_tag{});
    const base::guard hold(settings.lock);
    settings.started = true;
    return made;
  }();
  return *instance;
}

runtime& runtime::current() {
  const core::thread* self = core::current_thread_or_null();
  if (self != nullptr && self->scheduler->owner != nullptr) {
    return *static_cast<runtime*>(self->scheduler->owner);
  }
  return default_runtime();
}

void runtime::set_default_options(runtime_options options) {
  static_cast<void>(resolve(options));  // complains now rather than at the first thread
  default_settings& settings = defaults();
  const base::guard hold(settings.lock);
  if (settings.started) {
    throw std::logic_error("treadle: set_default_options after the default runtime has started");
  }
  settings.options = options;
}

}  // namespace treadle
