#include "treadle/sched/one_to_one.hpp"

#include <dlfcn.h>
#include <sched.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "treadle/base/cpu_width.hpp"
#include "treadle/base/futex.hpp"
#include "treadle/base/system_call.hpp"
#include "treadle/context/overflow_report.hpp"
#include "treadle/sched/futex_park.hpp"
#include "treadle/sched/kernel_level.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {

static_assert(scheduler<one_to_one>);

namespace {

// glibc puts all static thread-local storage and the thread's control block on the stack that it
// is given, and refuses one without room for that. Asked once, from the function that the JVM asks,
// too; without it the size for programs with little thread-local storage.
std::size_t libc_share_bytes() noexcept {
  static const std::size_t bytes = [] {
    std::size_t needed = 16 * 1024;  // sourced: PTHREAD_STACK_MIN
    using minimum_function = std::size_t (*)(const pthread_attr_t*);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    void* found = ::dlsym(RTLD_DEFAULT, "__pthread_get_minstack");
    if (found != nullptr) {
      const auto minimum = reinterpret_cast<minimum_function>(found)(&attributes);
      if (minimum > needed) needed = minimum;
    }
    ::pthread_attr_destroy(&attributes);
    return needed;
  }();
  return bytes;
}

// Large stacks pay a small share out of their own, as glibc does. Guess: a third of 64 KiB is
// small.
std::size_t extra_bytes(std::size_t usable) noexcept {
  const std::size_t share = libc_share_bytes();
  return usable >= 64 * 1024 && share <= 24 * 1024 ? 0 : share;
}

std::byte* align_down(std::byte* address, std::size_t alignment) noexcept {
  return reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(address) & ~(alignment - 1));
}

}  // namespace

unsigned spins_between_kernel_threads() noexcept {
  // Asked once: reading affinity and cgroup limits takes 20 us.
  static const unsigned spins = base::usable_width() > 1 ? 128 : 0;
  return spins;
}

struct one_to_one::seat {
  worker self;
  pthread_t kernel_thread{};
  one_to_one* home = nullptr;
};

one_to_one::seat& one_to_one::seat_of(thread& which) noexcept {
  return *static_cast<seat*>(which.body->kernel_seat);
}

int one_to_one::create(const creation& wanted, thread*& made) noexcept {
  visit_graveyard();
  const std::size_t usable = wanted.stack_bytes != 0 ? wanted.stack_bytes : sizes_.stack_bytes;
  context::stack_arena* arena =
      context::arena_for(usable + extra_bytes(usable), sizes_.guard_bytes);
  if (arena == nullptr) return ENOMEM;
  if (const int error = arena->promise(1)) return error;
  worker& on = current_worker();
  thread* record = record_pool::acquire(on.records);
  if (record == nullptr) {
    arena->give_up(1);
    return ENOMEM;
  }
  context::stack memory;
  const std::size_t taken = arena->take(&memory, 1);
  TREADLE_CHECK(taken == 1, "a promised stack is missing");
  auto* body = ::new (memory.top - sizeof(thread_body)) thread_body;
  body->stack = memory;
  body->stack_bytes = usable;
  body->set_name(wanted.name);
  auto* below = reinterpret_cast<std::byte*>(body) - wanted.closure_bytes;
  below = align_down(below, alignof(std::max_align_t));
  body->closure = wanted.closure_bytes != 0 ? static_cast<void*>(below) : &body->inline_closure;
  below = align_down(below - sizeof(seat), alignof(seat));
  body->kernel_seat = ::new (below) seat;
  record->body = body;
  record->resume = {};
  record->bound = true;
  record->forked = false;
  record->scheduler = this;
  record->completion.begin();
  body->owner.store(record, base::release);  // pairs with the overflow report
  made = record;
  return 0;
}

void one_to_one::release_memory(thread& ended) noexcept {
  const context::stack memory = ended.body->stack;
  ended.body->owner.store(nullptr, base::relaxed);  // relaxed: a report may name an ended thread
  memory.arena->put(&memory, 1);
  memory.arena->give_up(1);
  record_pool::release(current_worker().records, ended);
}

void one_to_one::discard(thread& unstarted) noexcept { release_memory(unstarted); }

thread* one_to_one::spawn(closure_function entry, small_closure closure, int& error) noexcept {
  thread* fresh = nullptr;
  error = create({}, fresh);
  if (error != 0) return nullptr;
  fresh->body->entry = entry;
  closure.copy_to(fresh->body->inline_closure);
  error = start(*fresh);
  if (error == 0) return fresh;
  discard(*fresh);
  return nullptr;
}

int one_to_one::start(thread& fresh) noexcept {
  seat& mine = seat_of(fresh);
  mine.home = this;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  std::byte* bottom = fresh.body->stack.bottom;
  std::byte* top = align_down(reinterpret_cast<std::byte*>(&mine), base::cache_line_bytes);
  int error = ::pthread_attr_setstack(&attributes, bottom, static_cast<std::size_t>(top - bottom));
  transition(fresh, thread_state::fresh, thread_state::ready, wait_reason::started);
  started_.fetch_add(1, base::relaxed);  // relaxed: a statistic, read after joins
  if (error == 0) {
    error = base::create_kernel_thread(&mine.kernel_thread, &attributes, &one_to_one::kernel_main,
                                       &fresh);
  }
  ::pthread_attr_destroy(&attributes);
  if (error != 0) {
    finished_.fetch_add(1, base::relaxed);  // relaxed: as above
    transition(fresh, thread_state::ready, thread_state::fresh, wait_reason::none);
  }
  return error;
}

void* one_to_one::kernel_main(void* argument) {
  thread& self = *static_cast<thread*>(argument);
  seat& mine = seat_of(self);
  const context::alternate_signal_stack signals;
  mine.self.scheduler = mine.home;
  mine.self.spins_max = spins_between_kernel_threads();
  mine.self.adopt_kernel_thread(false);
  set_current_thread(&self);
  transition(self, thread_state::ready, thread_state::running, wait_reason::none);
  begin_kernel_level(self);
  if (self.body->name[0] != '\0') {
    char short_name[16];  // sourced: TASK_COMM_LEN
    std::strncpy(short_name, self.body->name, sizeof(short_name) - 1);
    short_name[sizeof(short_name) - 1] = '\0';
    ::pthread_setname_np(::pthread_self(), short_name);
  }
  self.body->entry(self.body->closure);
  if (self.body->specific.destroy != nullptr) finish_specific(self);
  end_kernel_level(self);
  one_to_one& home = *mine.home;
  record_pool::drain(mine.self.records);
  block_pool::drain(mine.self.blocks);
  set_current_worker(nullptr);
  set_current_thread(nullptr);
  leave_readers();
  home.bury(self);
  base::leave_party();
  return nullptr;
}

// The end, on the kernel thread's last legs: it may be reaped as soon as it is published.
void one_to_one::bury(thread& ended) noexcept {
  transition(ended, thread_state::running, thread_state::finished, wait_reason::exited);
  if (ended.forked) {
    fork_point& point = *ended.body->fork;
    thread* parent = point.parent;
    {
      const base::guard hold(graveyard_lock_);
      graveyard_.push_back(&ended);
    }
    // acq_rel: what the child did is released to the parent through this counter
    if (point.outstanding.fetch_sub(1, base::acq_rel) == 1) unpark(*parent);
  } else {
    const auto wake_joiner = [](thread& joiner) noexcept { unpark(joiner); };
    ended.completion.end(
        [&]() noexcept {
          const base::guard hold(graveyard_lock_);
          graveyard_.push_back(&ended);
        },
        wake_joiner, wake_joiner);
  }
  finished_.fetch_add(1, base::release);  // release: pairs with close(); the last touch of us
}

void one_to_one::join(thread& which) noexcept {
  if (which.completion.become_joiner(current_thread())) {
    while (!has_ended(which)) static_cast<void>(park(wait_reason::join, deadline::never()));
  }
  which.scheduler->reap(which);
}

int one_to_one::set_level(thread& which, thread_level wanted) noexcept {
  use_levels();
  return set_kernel_level(which, wanted);
}

// Not ourselves: the last kernel thread after main's pthread_exit() runs what is to run at the
// process's end, on the stack of its own that it would give away.
void one_to_one::reap(thread& finished) noexcept {
  if (::pthread_join(seat_of(finished).kernel_thread, nullptr) == EDEADLK) return;
  release_memory(finished);
}

void one_to_one::visit_graveyard() noexcept {
  for (;;) {
    thread* ended = nullptr;
    {
      const base::guard hold(graveyard_lock_);
      ended = graveyard_.pop_front();
    }
    if (ended == nullptr) return;
    reap(*ended);
  }
}

void one_to_one::close() noexcept {
  // Guess: as in many_to_many::close().
  constexpr std::int64_t poll_nanoseconds = 200'000;
  // acquire, finished first: as in many_to_many::close()
  for (;;) {
    const std::uint64_t finished = finished_.load(base::acquire);
    if (finished == started_.load(base::acquire)) break;
    base::atomic<std::uint32_t> never{0};
    base::futex_wait(never, 0, deadline::at(base::monotonic_now() + poll_nanoseconds));
  }
  visit_graveyard();
}

wake one_to_one::park(wait_reason why, deadline until) noexcept {
  thread& self = current_thread();
  if (self.permit.consume()) return wake::token;
  if (until.has_passed()) return wake::timed_out;
  transition(self, thread_state::running, thread_state::parked, why);
  const wake outcome = sleep_on_token(self.permit, until) ? wake::token : wake::timed_out;
  transition(self, thread_state::parked, thread_state::running, wait_reason::none);
  return outcome;
}

void one_to_one::park_until_set(thread&, const base::atomic<bool>& flag, wait_reason why) noexcept {
  // acquire: pairs with the setter's release
  while (!flag.load(base::acquire)) static_cast<void>(park(why, deadline::never()));
}

void one_to_one::yield() noexcept { ::sched_yield(); }

void one_to_one::exit() noexcept { ::pthread_exit(nullptr); }

int one_to_one::fork(thread& child, fork_point& point) noexcept {
  child.forked = true;
  child.body->fork = &point;
  inherit_level(child);
  ++point.left_behind;
  const int error = start(child);
  if (error != 0) --point.left_behind;
  return error;
}

unsigned one_to_one::width() const noexcept { return base::usable_width(); }

scheduler_counters one_to_one::counters() const noexcept {
  scheduler_counters sum;
  sum.threads_finished = finished_.load(base::acquire);  // acquire: ends before starts
  sum.threads_started = started_.load(base::acquire);
  return sum;
}

}  // namespace treadle::core
