#include "treadle/sync/raw_rcu.hpp"

#include <algorithm>

#include "treadle/base/check.hpp"
#include "treadle/base/clock.hpp"
#include "treadle/thread/reading.hpp"

namespace treadle::sync {
namespace {

constinit raw_rcu process_rcu;

// The leader's breaks between two looks. Most sections take less than a microsecond, so first
// others may run; then it sleeps, twice as long each time.
class patience {
 public:
  explicit patience(core::thread& self) noexcept : self_(self) {}

  void once() noexcept {
    if (yields_left_ != 0) {
      --yields_left_;
      self_.scheduler->yield();
      return;
    }
    const base::deadline until = base::deadline::at(base::monotonic_now() + break_);
    static_cast<void>(self_.scheduler->park(core::wait_reason::rcu, until));
    if (break_ < longest_break) break_ *= 2;
  }

 private:
  // Guess: what runs on this processor and was in a section has then gone on.
  static constexpr int yields = 4;
  // Guess: a look costs less than 1 us with some kernel threads, so 0.1 % of a CPU while a reader
  // sleeps; and a reader's end is seen so late at most.
  static constexpr std::int64_t first_break = 20'000;
  static constexpr std::int64_t longest_break = 1'280'000;

  core::thread& self_;
  int yields_left_ = yields;
  std::int64_t break_ = first_break;
};

}  // namespace

struct raw_rcu::caller {
  explicit caller(core::thread& self) noexcept : node(self) {}
  waiter node;
  caller* link = nullptr;
  std::uint64_t target = 0;  // the first grace period that will do
  bool leads = false;        // set before the grant: not done, but the leader now
};

raw_rcu& raw_rcu::of_process() noexcept { return process_rcu; }

void raw_rcu::push(retired& object) noexcept {
  object.link = retired_.load(base::relaxed);  // relaxed: validated by the CAS
  // release: pairs with begin_period(), the object was made unfindable before
  while (!retired_.compare_exchange_weak(object.link, &object, base::release, base::relaxed)) {
  }
}

void raw_rcu::retire(retired& object) noexcept {
  push(object);
  // relaxed: a count
  if ((retirements_.fetch_add(1, base::relaxed) + 1) % batch != 0) return;
  static_cast<void>(step(begins::when_it_may));
  destroy_ready();
}

// With stepping_ held.
void raw_rcu::begin_period() noexcept {
  {
    // Callers that look after this will wait for the next one; the lock orders what the others did
    // before the grace period.
    const base::guard hold(lock_);
    ++begun_;
  }
  // acquire: pairs with push(). After the number: barrier() pushes, then looks at it.
  awaiting_ = retired_.exchange(nullptr, base::acquire);
  under_way_ = true;
  const std::int64_t before = base::monotonic_now();
  core::begin_grace_period();
  const std::int64_t after = base::monotonic_now();
  may_begin_ = after + fence_share * std::min(after - before, longest_fence);
}

// With stepping_ held.
void raw_rcu::end_period() noexcept {
  base::chain<retired> over;  // the oldest first
  while (awaiting_ != nullptr) {
    retired* youngest = awaiting_;
    awaiting_ = youngest->link;
    over.push_front(youngest);
  }
  under_way_ = false;
  base::chain<caller> served;
  {
    const base::guard hold(lock_);
    ready_.append(over);
    done_ = begun_;
    while (!followers_.empty() && followers_.front()->target <= done_) {
      served.push_back(followers_.pop_front());
    }
  }
  while (caller* each = served.pop_front()) each->node.grant();
}

// Begins a grace period unless one is under way, or has begun just now, and ends it if it is over.
// False when somebody else is at it.
bool raw_rcu::step(begins when) noexcept {
  // acquire: pairs with the release below
  if (stepping_.exchange(true, base::acquire)) return false;
  if (!under_way_ && (when == begins::at_once || base::monotonic_now() >= may_begin_)) {
    begin_period();
  }
  if (under_way_ && core::grace_period_is_over()) end_period();
  stepping_.store(false, base::release);
  return true;
}

bool raw_rcu::is_done(std::uint64_t target) noexcept {
  const base::guard hold(lock_);
  return done_ >= target;
}

void raw_rcu::lead(std::uint64_t target) noexcept {
  patience breaks(core::current_thread());
  while (!is_done(target)) {
    static_cast<void>(step(begins::when_it_may));
    if (is_done(target)) return;
    breaks.once();
  }
}

void raw_rcu::pass_the_lead() noexcept {
  caller* next = nullptr;
  {
    const base::guard hold(lock_);
    next = followers_.pop_front();
    if (next == nullptr) led_ = false;
  }
  if (next == nullptr) return;
  next->leads = true;
  next->node.grant();
}

void raw_rcu::synchronize() noexcept {
  if (core::is_reading()) {
    base::fail_misuse("rcu_synchronize", "called inside a read section, for which it would wait");
  }
  caller mine(core::current_thread());
  bool follows = false;
  {
    const base::guard hold(lock_);
    mine.target = begun_ + 1;
    follows = led_;
    led_ = true;
    if (follows) followers_.push_back(&mine);
  }
  if (follows) {
    static_cast<void>(mine.node.wait(core::wait_reason::rcu, base::deadline::never()));
    if (!mine.leads) return;
  }
  lead(mine.target);
  pass_the_lead();
}

void raw_rcu::destroy_ready() noexcept {
  core::thread* self = &core::current_thread();
  base::chain<retired> mine;
  {
    const base::guard hold(lock_);
    if (destroyer_ != nullptr) return;  // who sees to these, too
    destroyer_ = self;
    mine.append(ready_);
  }
  for (;;) {
    while (retired* each = mine.pop_front()) each->destroy(*each);
    const base::guard hold(lock_);
    if (ready_.empty()) {
      destroyer_ = nullptr;
      return;
    }
    mine.append(ready_);
  }
}

void raw_rcu::barrier() noexcept {
  core::thread& self = core::current_thread();
  {
    const base::guard hold(lock_);
    if (destroyer_ == &self) {
      base::fail_misuse("rcu_barrier", "called by a deleter, for which it would wait");
    }
  }
  // The last of all that was retired before: objects are destroyed in order.
  struct last : retired {
    explicit last(core::thread& who) noexcept : node(who) {}
    waiter node;
  } mine(self);
  mine.destroy = [](retired& object) noexcept { static_cast<last&>(object).node.grant(); };
  push(mine);
  synchronize();
  destroy_ready();
  static_cast<void>(mine.node.wait(core::wait_reason::rcu, base::deadline::never()));
}

// Objects that a grace period under way did not take along need a second one.
void raw_rcu::reclaim() noexcept {
  constexpr int periods = 2;
  // relaxed: whoever wants something destroyed has synchronised with its retirement
  if (retirements_.load(base::relaxed) == 0) return;
  for (int i = 0; i < periods; ++i) static_cast<void>(step(begins::at_once));
  destroy_ready();
}

}  // namespace treadle::sync
