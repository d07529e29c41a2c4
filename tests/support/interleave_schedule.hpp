// The schedules behind interleave.hpp: virtual threads on ucontext, run again and again.
//
// There is no scheduler context: the running thread takes the decision at its own choice point and
// switches straight to the chosen thread. Everything here runs on one kernel thread.
// Headers, so that a test needs no second source. Only interleave.hpp includes this, at its end.
#pragma once

#include <algorithm>
#include <exception>

#include "tests/support/interleave_points.hpp"
#include "tests/support/interleave_report.hpp"

namespace treadle::interleave {
namespace detail {

inline void thread_ended(explorer& e, unsigned me) {
  e.threads[me].finished = true;
  if (e.starting) {
    e.running = nobody;
    switch_context(e.threads[me].where, e.home, true);
  }
  bool all_finished = true;
  for (unsigned i = 0; i < e.count; ++i) {
    all_finished = all_finished && e.threads[i].finished;
  }
  const unsigned next = all_finished ? nobody : decide(e, nobody);
  e.running = next;
  switch_context(e.threads[me].where, next == nobody ? e.home : e.threads[next].where, true);
}

inline void thread_entry() {
#ifdef INTERLEAVE_ASAN
  // The first switch of a schedule comes from home: remember home's stack for the way back.
  explorer& h = *active;
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (h.starting) {
    h.home.bottom = bottom;
    h.home.size = size;
  }
#endif
  explorer& e = *active;
  const unsigned me = e.running;
  try {
    (*e.threads[me].body)();
  } catch (const std::exception& error) {
    e.fault = std::string("an exception left a thread: ") + error.what();
    give_up();
  }
  thread_ended(e, me);
}

inline void prepare(virtual_thread& t, std::function<void()>& body) {
  t.body = &body;
  t.finished = false;
  t.asleep_on = nullptr;
  t.next = {};
  begin(t.where, thread_entry);
}

inline void resume_from_home(explorer& e, unsigned next) {
  e.running = next;
  switch_context(e.home, e.threads[next].where, false);
}

inline void run_schedule(explorer& e, detail::program& made) {
  e.depth = 0;
  e.sleeping = 0;
  e.preemptions = 0;
  e.spurious = 0;
  e.writes = 0;
  e.steps.clear();
  e.pruned = false;
  e.cut = false;
  for (unsigned i = 0; i < e.count; ++i) {
    prepare(e.threads[i], made.threads[i]);
  }
  e.starting = true;
  bool all_finished = true;
  for (unsigned i = 0; i < e.count && e.fault.empty(); ++i) {
    resume_from_home(e, i);
    all_finished = all_finished && e.threads[i].finished;
  }
  e.starting = false;
  if (e.fault.empty() && !all_finished) {
    const unsigned first = decide(e, nobody);
    if (first != nobody) {
      resume_from_home(e, first);
    }
  }
  e.running = nobody;
  if (e.fault.empty() && !e.pruned && !e.cut) {
    made.check();
  }
}

// TSan makes a schedule forty times as dear, and looks at one kernel thread here: what it can find
// is found with one preemption (raw_channel_test took more than 15 minutes with four).
inline options within_reason(options bounds) {
#if defined(TREADLE_TSAN)
  if (!bounds.sleep_sets) bounds.preemptions_max = std::min(bounds.preemptions_max, 1U);
#endif
  return bounds;
}

inline verdict explore(const options& wanted, const std::function<program()>& make) {
  const options bounds = within_reason(wanted);
  auto e = std::make_unique<explorer>();
  auto stacks = std::make_unique<std::byte[]>(threads_max * stack_bytes);
  e->bounds = bounds;
  for (unsigned i = 0; i < threads_max; ++i) {
    e->threads[i].where.stack = stacks.get() + i * stack_bytes;
  }
  adopt(e->home);
  verdict result;
  bool cut = false;
  bool more = true;
  active = e.get();
  while (more && e->fault.empty() && result.schedules < bounds.schedules_max) {
    program made = make();
    e->count = static_cast<unsigned>(made.threads.size());
    if (e->count > threads_max) {
      e->fault = "more threads than threads_max";
      break;
    }
    run_schedule(*e, made);
    (e->pruned ? result.pruned : result.schedules) += 1;
    cut = cut || e->cut;
    if (e->fault.empty()) {
      more = backtrack(e->path);
    }
  }
  active = nullptr;
  result.fault = e->fault;
  result.complete = !more && !cut && e->fault.empty();
  if (!e->fault.empty()) {
    result.trace = describe(*e);
  }
#ifdef INTERLEAVE_ASAN
  __asan_unpoison_memory_region(stacks.get(), threads_max * stack_bytes);
#endif
  for (const virtual_thread& t : e->threads) end(t.where);
  return result;
}

}  // namespace detail
}  // namespace treadle::interleave
