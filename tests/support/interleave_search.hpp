// The search behind interleave.hpp: virtual threads on ucontext, replayed depth first.
//
// There is no scheduler context: the running thread takes the decision at its own choice point and
// switches straight to the chosen thread. Everything here runs on one kernel thread.
// A header, so that a test needs no second source. Only interleave.hpp includes it, at its end.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sstream>

#include "tests/support/interleave_context.hpp"

namespace treadle::interleave {
namespace detail {

inline constexpr unsigned threads_max = 8;  // guess: more cannot be searched anyway
inline constexpr unsigned nobody = ~0U;

using mask = std::uint32_t;
constexpr mask bit(unsigned index) { return mask{1} << index; }

// One decision of the search; it lives on while its subtree is explored.
struct node {
  bool of_value = false;  // choose(): chosen counts up to values
  unsigned values = 0;    // of_value only
  mask candidates = 0;    // threads worth trying here
  mask done = 0;          // threads whose subtrees are finished
  unsigned chosen = 0;
};

struct step {
  unsigned thread = 0;
  operation what;
  std::uint64_t value = 0;
};

struct virtual_thread {
  context where;
  operation next;
  std::function<void()>* body = nullptr;
  bool finished = false;
  const void* asleep_on = nullptr;  // block_on()
};

struct explorer {
  options bounds;
  std::vector<node> path;
  std::size_t depth = 0;  // decisions taken in this schedule
  std::array<virtual_thread, threads_max> threads;
  unsigned count = 0;
  unsigned running = nobody;
  bool starting = false;  // threads run up to their first operation
  mask sleeping = 0;      // the sleep set
  unsigned preemptions = 0;
  unsigned spurious = 0;
  std::uint64_t writes = 0;  // operations that took effect, for pause()
  std::vector<step> steps;
  context home;
  bool pruned = false;
  bool cut = false;
  std::string fault;
};

inline explorer* active = nullptr;

[[noreturn]] inline void give_up() {
  explorer& e = *active;
  const unsigned me = e.running;
  e.running = nobody;
  switch_context(e.threads[me].where, e.home, true);
  std::abort();  // nobody resumes a thread that gave up
}

inline bool independent(const detail::operation& a, const detail::operation& b) {
  if (a.object == nullptr || b.object == nullptr) {
    return false;
  }
  return a.object != b.object || (a.kind == detail::access::read && b.kind == detail::access::read);
}

inline mask ready_threads(const explorer& e) {
  mask ready = 0;
  for (unsigned i = 0; i < e.count; ++i) {
    const virtual_thread& t = e.threads[i];
    if (!t.finished && (t.next.ready == nullptr || t.next.ready(t.next.argument))) {
      ready |= bit(i);
    }
  }
  return ready;
}

inline unsigned first_of(mask candidates, unsigned preferred) {
  if (preferred != nobody && (candidates & bit(preferred)) != 0) {
    return preferred;
  }
  return static_cast<unsigned>(__builtin_ctz(candidates));
}

// The operations of the chosen thread and of a sleeping one commute: the sleeper sleeps on.
inline void fall_asleep(explorer& e, const node& here) {
  const mask before = e.sleeping | here.done;
  e.sleeping = 0;
  for (unsigned i = 0; i < e.count; ++i) {
    if ((before & bit(i)) != 0 && i != here.chosen &&
        independent(e.threads[i].next, e.threads[here.chosen].next)) {
      e.sleeping |= bit(i);
    }
  }
}

// The thread to go on; nobody: this schedule stops here (pruned, cut or deadlocked).
inline unsigned decide(explorer& e, unsigned current) {
  const mask ready = ready_threads(e);
  if (ready == 0) {
    e.fault = "deadlock: every unfinished thread waits";
    return nobody;
  }
  if (e.steps.size() >= e.bounds.steps_max) {
    e.cut = true;
    return nobody;
  }
  const bool current_ready = current != nobody && (ready & bit(current)) != 0;
  if (e.depth == e.path.size()) {
    node fresh;
    fresh.candidates = ready & ~e.sleeping;
    if (current_ready && e.preemptions >= e.bounds.preemptions_max) {
      fresh.candidates &= bit(current);
    }
    if (fresh.candidates == 0) {
      e.pruned = true;
      return nobody;
    }
    fresh.chosen = first_of(fresh.candidates, current);
    e.path.push_back(fresh);
  }
  const node& here = e.path[e.depth++];
  if ((ready & bit(here.chosen)) == 0) {
    e.fault = "the program is not deterministic: a replayed choice is not ready";
    return nobody;
  }
  if (current_ready && here.chosen != current) {
    ++e.preemptions;
  }
  if (e.bounds.sleep_sets && e.bounds.preemptions_max == unbounded) {
    fall_asleep(e, here);
  }
  e.steps.push_back({here.chosen, e.threads[here.chosen].next, 0});
  if (e.threads[here.chosen].next.kind == detail::access::write) {
    ++e.writes;
  }
  return here.chosen;
}

// Moves the search to the next untried decision; false: all done.
inline bool backtrack(std::vector<node>& path) {
  while (!path.empty()) {
    node& last = path.back();
    if (last.of_value) {
      if (++last.chosen < last.values) {
        return true;
      }
    } else {
      last.done |= bit(last.chosen);
      const mask left = last.candidates & ~last.done;
      if (left != 0) {
        last.chosen = first_of(left, nobody);
        return true;
      }
    }
    path.pop_back();
  }
  return false;
}

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

inline std::string describe(const explorer& e) {
  std::ostringstream text;
  std::vector<const void*> objects;
  for (const step& s : e.steps) {
    std::size_t number = 0;
    while (number < objects.size() && objects[number] != s.what.object) {
      ++number;
    }
    if (number == objects.size()) {
      objects.push_back(s.what.object);
    }
    text << "  thread " << s.thread << ": " << s.what.what;
    if (s.what.object != nullptr) {
      text << " of word " << number << " -> " << s.value;
    }
    text << '\n';
  }
  for (unsigned i = 0; i < e.count; ++i) {
    if (!e.threads[i].finished) {
      text << "  thread " << i << " stands before: " << e.threads[i].next.what << '\n';
    }
  }
  return text.str();
}

}  // namespace detail

inline std::string verdict::report() const {
  std::ostringstream text;
  text << schedules << " schedules, " << pruned << " pruned, "
       << (complete ? "complete" : "not complete");
  if (!fault.empty()) {
    text << "\nfault: " << fault << '\n' << trace;
  }
  return text.str();
}

inline void require(bool condition, const char* what) {
  if (condition) {
    return;
  }
  detail::explorer& e = *detail::active;
  if (e.fault.empty()) {
    e.fault = what;
  }
  if (e.running != detail::nobody) {
    detail::give_up();
  }
}

inline void pause() {
  if (detail::active == nullptr || detail::active->running == detail::nobody) {
    return;
  }
  const std::uint64_t seen = detail::active->writes;
  auto changed = [seen] { return detail::active->writes != seen; };
  detail::operation next;
  next.kind = detail::access::read;
  next.what = "pause";
  next.ready = [](void* c) { return (*static_cast<decltype(changed)*>(c))(); };
  next.argument = &changed;
  detail::point(next);
}

inline unsigned choose(unsigned count) {
  detail::explorer& e = *detail::active;
  if (e.depth == e.path.size()) {
    detail::node fresh;
    fresh.of_value = true;
    fresh.values = count;
    e.path.push_back(fresh);
  }
  return e.path[e.depth++].chosen;
}

inline unsigned self() { return detail::active->running; }

namespace detail {

inline void point(const operation& next) {
  if (active == nullptr || active->running == nobody) {
    return;
  }
  explorer& e = *active;
  const unsigned me = e.running;
  e.threads[me].next = next;
  if (e.starting) {
    e.running = nobody;
    switch_context(e.threads[me].where, e.home, false);
    return;
  }
  const unsigned chosen = decide(e, me);
  if (chosen == nobody) {
    give_up();
  }
  if (chosen != me) {
    e.running = chosen;
    switch_context(e.threads[me].where, e.threads[chosen].where, false);
  }
}

inline void note_value(std::uint64_t value) {
  if (active != nullptr && active->running != nobody) {
    active->steps.back().value = value;
  }
}

inline void block_on(const void* object) {
  virtual_thread& me = active->threads[active->running];
  me.asleep_on = object;
  operation next;
  next.object = object;
  next.kind = access::read;
  next.what = "asleep";
  next.ready = [](void* t) { return static_cast<virtual_thread*>(t)->asleep_on == nullptr; };
  next.argument = &me;
  point(next);
}

inline void notify(const void* object, bool all) {
  if (active == nullptr || active->running == nobody) {
    return;
  }
  explorer& e = *active;
  point({.object = object, .kind = access::write, .what = all ? "notify_all" : "notify_one"});
  std::vector<unsigned> sleepers;
  for (unsigned i = 0; i < e.count; ++i) {
    if (!e.threads[i].finished && e.threads[i].asleep_on == object) {
      sleepers.push_back(i);
    }
  }
  if (all) {
    for (unsigned i : sleepers) {
      e.threads[i].asleep_on = nullptr;
    }
  } else if (!sleepers.empty()) {
    const unsigned count = static_cast<unsigned>(sleepers.size());
    e.threads[sleepers[count == 1 ? 0 : choose(count)]].asleep_on = nullptr;
  }
}

inline bool spurious_failure() {
  if (active == nullptr || active->running == nobody ||
      active->spurious >= active->bounds.spurious_failures_max) {
    return false;
  }
  if (choose(2) == 0) {
    return false;
  }
  ++active->spurious;
  return true;
}

inline verdict explore(const options& bounds, const std::function<program()>& make) {
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
