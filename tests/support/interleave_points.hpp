// The choice points of interleave.hpp: what a virtual thread calls. Only the other parts of
// interleave.hpp include it.
#pragma once

#include "tests/support/interleave_search.hpp"

namespace treadle::interleave {
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

}  // namespace detail
}  // namespace treadle::interleave
