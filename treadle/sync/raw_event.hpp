// Something that has happened or not: the state machine behind manual_reset_event and
// auto_reset_event.
//
// Invariant: while it is set nobody waits. An auto-reset event that is set under waiters goes to
// the first of them and is not set then, so no arriving thread can overtake it.
// set() does not touch the event after lock_, and a wait passes through it: so whoever has returned
// from a wait may destroy the event while set() has not yet returned.
#pragma once

#include "treadle/base/check.hpp"
#include "treadle/base/wait_limit.hpp"
#include "treadle/sync/ground.hpp"

namespace treadle::sync {

// Whether one wait uses it up.
enum class event_kind : bool { manual_reset, auto_reset };

using event_ground = ground<core::wait_reason::event>;

template <class Ground, event_kind Kind>
class basic_event {
 public:
  constexpr explicit basic_event(bool set) noexcept : set_(set) {}
  ~basic_event() {
    if (!list_.empty() && !base::process_is_ending()) {
      base::fail_misuse(one_shot ? "auto_reset_event::~auto_reset_event"
                                 : "manual_reset_event::~manual_reset_event",
                        "threads still wait for it");
    }
  }
  basic_event(const basic_event&) = delete;
  basic_event& operator=(const basic_event&) = delete;

  void set() noexcept;
  void reset() noexcept;
  bool is_set() const noexcept {
    return set_.load(base::acquire);  // pairs with set()
  }
  bool try_wait() noexcept;
  void wait() noexcept;
  // False on time-out and stop only.
  bool wait(const base::wait_limit& limit) noexcept;

  // The parts of a wait, for tasks. False with the node in the list.
  bool take_or_enlist(waiter& node) noexcept;
  // False for a node that a granter has taken and will still touch.
  bool take_out(waiter& node) noexcept;

 private:
  static constexpr bool one_shot = Kind == event_kind::auto_reset;

  bool take() noexcept;

  typename Ground::list_lock lock_;
  // Written under lock_.
  typename Ground::template flag<bool> set_;
  // Guarded by lock_.
  wait_list list_;
};

extern template class basic_event<event_ground, event_kind::manual_reset>;
extern template class basic_event<event_ground, event_kind::auto_reset>;
using raw_manual_reset_event = basic_event<event_ground, event_kind::manual_reset>;
using raw_auto_reset_event = basic_event<event_ground, event_kind::auto_reset>;

}  // namespace treadle::sync
