// How a task waits for each state machine of treadle/sync: the kinds of suspension.hpp.
//
// Each is the task's side of the protocol in sync/wait_list.hpp: list the node under the lock of
// what it waits for, park, be granted; or take the node out again.
#pragma once

#include <optional>
#include <type_traits>

#include "treadle/sync/raw_barrier.hpp"
#include "treadle/sync/raw_channel.hpp"
#include "treadle/sync/raw_condition.hpp"
#include "treadle/sync/raw_event.hpp"
#include "treadle/sync/raw_inheriting_mutex.hpp"
#include "treadle/sync/raw_latch.hpp"
#include "treadle/sync/raw_mutex.hpp"
#include "treadle/sync/raw_once.hpp"
#include "treadle/sync/raw_result.hpp"
#include "treadle/sync/raw_semaphore.hpp"
#include "treadle/sync/raw_shared_mutex.hpp"
#include "treadle/sync/raw_wait_group.hpp"
#include "treadle/task/suspension.hpp"

namespace treadle::tasks {

// What most waits give: nothing, or within a limit whether it was granted.
struct plain_result {
  static void result() noexcept {}
  static bool result_within(bool granted) noexcept { return granted; }
};

struct semaphore_wait : plain_result {
  static constexpr core::wait_reason why = core::wait_reason::semaphore;
  using node = sync::raw_semaphore::node;

  bool try_now() noexcept { return on->try_acquire(); }
  static void make(node* where, core::thread& self) noexcept { ::new (where) node(self); }
  bool enlist(node& mine) noexcept { return on->take_or_enlist(mine); }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept { return on->take_out(mine); }

  sync::raw_semaphore* on;
};

template <class Event>
struct event_wait : plain_result {
  static constexpr core::wait_reason why = core::wait_reason::event;
  using node = sync::waiter;

  bool try_now() noexcept { return on->try_wait(); }
  static void make(node* where, core::thread& self) noexcept { ::new (where) node(self); }
  bool enlist(node& mine) noexcept { return on->take_or_enlist(mine); }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept { return on->take_out(mine); }

  Event* on;
};

// Latch, wait group and result: ready or not.
template <class Machine, core::wait_reason Why>
struct ready_wait : plain_result {
  static constexpr core::wait_reason why = Why;
  using node = sync::waiter;

  bool try_now() noexcept {
    if constexpr (requires { on->is_ready(); }) {
      return on->is_ready();
    } else {
      return on->try_wait();
    }
  }
  static void make(node* where, core::thread& self) noexcept { ::new (where) node(self); }
  bool enlist(node& mine) noexcept { return !on->enlist(mine); }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept { return on->take_out(mine); }

  Machine* on;
};

using latch_wait = ready_wait<sync::raw_latch, core::wait_reason::latch>;
// The count and the wait in one.
struct latch_meeting : latch_wait {
  static bool try_now() noexcept { return false; }
  bool enlist(node& mine) noexcept { return !on->arrive_and_enlist(by, mine); }

  std::ptrdiff_t by;
};
using group_wait = ready_wait<sync::raw_wait_group, core::wait_reason::wait_group>;
using result_wait = ready_wait<sync::raw_result, core::wait_reason::latch>;

struct barrier_wait : plain_result {
  static constexpr core::wait_reason why = core::wait_reason::barrier;
  using node = sync::waiter;

  static bool try_now() noexcept { return false; }
  static void make(node* where, core::thread& self) noexcept { ::new (where) node(self); }
  bool enlist(node& mine) noexcept { return !on->enlist(mine, during); }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept { return on->take_out(mine); }

  sync::raw_barrier* on;
  sync::raw_barrier::phase during;
};

// Gives the record that holds it; within a limit null when it was not had.
struct mutex_wait {
  static constexpr core::wait_reason why = core::wait_reason::mutex;
  using node = sync::raw_mutex::lock_waiter;

  static bool try_now() noexcept { return false; }
  void make(node* where, core::thread& self) noexcept {
    holder = &self;
    ::new (where) node(self, base::monotonic_now());
  }
  bool enlist(node& mine) noexcept { return on->lock_or_enlist(mine); }
  bool complete(node& mine, bool expired) noexcept {
    const auto outcome = on->go_on(mine, expired);
    if (outcome == sync::raw_mutex::after_grant::gave_up) holder = nullptr;
    return outcome != sync::raw_mutex::after_grant::listed_again;
  }
  bool withdraw(node& mine) noexcept { return on->take_out(mine); }
  core::thread* result() const noexcept { return holder; }
  core::thread* result_within(bool granted) const noexcept { return granted ? holder : nullptr; }

  sync::raw_mutex* on;
  core::thread* holder = nullptr;
};

// The same of a mutex whose holder may lock it again. `depth` is guarded by it.
struct recursive_mutex_wait : mutex_wait {
  bool enlist(node& mine) noexcept {
    if (on->is_held_by(*mine.who)) {
      ++*depth;
      return true;
    }
    if (!mutex_wait::enlist(mine)) return false;
    *depth = 1;
    return true;
  }
  bool complete(node& mine, bool expired) noexcept {
    if (!mutex_wait::complete(mine, expired)) return false;
    if (holder != nullptr) *depth = 1;
    return true;
  }

  unsigned* depth;
};

// The same of a mutex that lends its holder the level of who waits.
struct inheriting_mutex_wait {
  static constexpr core::wait_reason why = core::wait_reason::mutex;
  using node = sync::raw_inheriting_mutex::lending_waiter;

  static bool try_now() noexcept { return false; }
  void make(node* where, core::thread& self) {
    self.scheduler->tasks->begin_hold(self);
    holder = &self;
    ::new (where) node(self);
  }
  bool enlist(node& mine) noexcept { return on->lock_or_enlist(mine); }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept {
    core::thread& who = *mine.who;
    if (!on->take_out(mine)) return false;
    who.scheduler->tasks->end_hold(who);
    return true;
  }
  core::thread* result() const noexcept { return holder; }
  core::thread* result_within(bool granted) const noexcept { return granted ? holder : nullptr; }

  sync::raw_inheriting_mutex* on;
  core::thread* holder = nullptr;
};

template <bool Writes>
struct shared_mutex_wait {
  static constexpr core::wait_reason why = core::wait_reason::shared_mutex;
  using node = sync::waiter;

  static bool try_now() noexcept { return false; }
  void make(node* where, core::thread& self) noexcept {
    holder = &self;
    ::new (where) node(self);
  }
  bool enlist(node& mine) noexcept {
    if constexpr (Writes) return on->lock_or_enlist(mine, false);
    return on->try_lock_shared() || on->share_or_enlist(mine);
  }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept { return on->take_out(mine, Writes); }
  core::thread* result() const noexcept { return holder; }
  core::thread* result_within(bool granted) const noexcept { return granted ? holder : nullptr; }

  sync::raw_shared_mutex* on;
  core::thread* holder = nullptr;
};

// The wait of a condition variable; the caller unlocks after the node is listed.
template <class Unlock>
struct condition_wait {
  static constexpr core::wait_reason why = core::wait_reason::condition;
  using node = sync::raw_condition::node;

  static bool try_now() noexcept { return false; }
  void make(node* where, core::thread& self) noexcept {
    listed = ::new (where) node(self, limited);
  }
  bool enlist(node& mine) noexcept {
    on->enlist(mine);
    unlock();
    return false;
  }
  static bool complete(node&, bool) noexcept { return true; }
  bool withdraw(node& mine) noexcept { return on->take_out(mine); }
  static void result() noexcept {}
  // A limited waiter counts itself until here, where nobody will withdraw it any more: until then
  // the variable cannot be gone.
  bool result_within(bool granted) noexcept {
    on->finish(*listed);
    return granted;
  }

  sync::raw_condition* on;
  bool limited;
  Unlock unlock;
  const node* listed = nullptr;
};

// Whether the caller is to make the call; if not, it has been made.
struct once_wait {
  static constexpr core::wait_reason why = core::wait_reason::once;
  using node = sync::waiter;

  bool try_now() noexcept { return on->is_done(); }
  static void make(node* where, core::thread& self) noexcept { ::new (where) node(self); }
  bool enlist(node& mine) noexcept {
    const auto found = on->begin_or_enlist(mine);
    must_run = found == sync::raw_once::step::must_run;
    return found != sync::raw_once::step::is_listed;
  }
  bool complete(node& mine, bool) noexcept {
    core::thread& self = *mine.who;
    mine.~node();
    make(&mine, self);
    return enlist(mine);
  }
  bool result() const noexcept { return must_run; }

  sync::raw_once* on;
  bool must_run = false;
};

// What a task waits with on a channel within a limit: see sync/channel_waiter.hpp.
struct limited_channel_node {
  using group = sync::channel_group<sync::channel_ground>;

  limited_channel_node(core::thread& waiting, void* value) noexcept
      : all(waiting), only(all, value, 0) {}
  bool is_granted() const noexcept { return all.self.is_granted(); }

  group all;
  sync::channel_node<sync::channel_ground> only;
};

// A send or a receive of one value, which lies at `value` or is made there.
template <bool Limited>
struct channel_wait {
  static constexpr core::wait_reason why = core::wait_reason::channel;
  using plain_node = sync::channel_node<sync::channel_ground>;
  using node = std::conditional_t<Limited, limited_channel_node, plain_node>;

  bool try_now() noexcept {
    constexpr sync::channel_patience at_once{nullptr, true};
    status = side == sync::channel_side::sender ? on->send(*kind, value, at_once)
                                                : on->receive(*kind, value, at_once);
    return status != channel_status::gave_up;
  }
  void make(node* where, core::thread& self) const noexcept { ::new (where) node(self, value); }
  bool enlist(node& mine) noexcept {
    for (;;) {
      {
        const base::counted_as_lock counted_here;
        on->lock_list(side);
        const bool waits = on->must_wait(side);
        if (waits) on->push(side, listed(mine));
        on->unlock_list(side);
        if (waits) return false;
      }
      if (try_now()) return true;
    }
  }
  bool complete(node& mine, bool) noexcept {
    if constexpr (Limited) {
      status = mine.all.result;
    } else {
      status = mine.result;
    }
    return true;
  }
  bool withdraw(limited_channel_node& mine) noexcept {
    if (!mine.all.claim(limited_channel_node::group::itself)) return false;
    on->withdraw(side, mine.only);
    return true;
  }
  static plain_node& listed(plain_node& mine) noexcept { return mine; }
  static plain_node& listed(limited_channel_node& mine) noexcept { return mine.only; }
  channel_status result() const noexcept { return status; }
  channel_status result_within(bool granted) const noexcept {
    return granted ? status : channel_status::gave_up;
  }

  sync::raw_channel* on;
  const sync::channel_element* kind;
  void* value;
  sync::channel_side side;
  channel_status status = channel_status::gave_up;
};

}  // namespace treadle::tasks
