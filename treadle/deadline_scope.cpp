#include "treadle/deadline_scope.hpp"

#include <list>
#include <mutex>

#include "treadle/mutex.hpp"
#include "treadle/runtime.hpp"
#include "treadle/semaphore.hpp"

namespace treadle {
namespace detail {

// Of one runtime. Its thread sleeps until the earliest deadline and asks for the stop.
class deadline_keeper {
 public:
  explicit deadline_keeper(const runtime& of) noexcept : of_(&of) {}

  const runtime& of() const noexcept { return *of_; }

  void arm(base::deadline until, armed_deadline& mine) {
    const std::lock_guard hold(books_);
    mine.place = armed_.emplace(until.nanoseconds(), &mine);
    if (!has_thread_) {
      try {
        thread({.name = "deadlines"}, [this] { keep(); }).detach();
      } catch (...) {
        armed_.erase(mine.place);
        throw;
      }
      has_thread_ = true;
    } else if (until.nanoseconds() < sleeps_until_) {
      wake();
    }
    mine.is_armed = true;
  }
  void disarm(armed_deadline& mine) noexcept {
    const std::lock_guard hold(books_);
    if (!mine.is_armed) return;
    armed_.erase(mine.place);
    if (ends_ && armed_.empty()) wake();
  }
  void end() noexcept {
    const std::lock_guard hold(books_);
    ends_ = true;
    if (has_thread_) wake();
  }

 private:
  // With books_ held.
  void wake() noexcept {
    sleeps_until_ = 0;  // one is enough
    alarm_.release(1);
  }

  void keep() {
    std::unique_lock hold(books_);
    for (;;) {
      fire_due(hold);
      if (armed_.empty() && ends_) break;
      const base::deadline next =
          armed_.empty() ? base::deadline::never() : base::deadline::at(armed_.begin()->first);
      sleeps_until_ = next.nanoseconds();
      hold.unlock();
      static_cast<void>(alarm_.acquire(next));
      hold.lock();
    }
    has_thread_ = false;
  }
  void fire_due(std::unique_lock<mutex>& hold) {
    while (!armed_.empty() && armed_.begin()->first <= base::monotonic_now()) {
      armed_deadline& due = *armed_.begin()->second;
      std::stop_source source = due.source;  // keeps itself: the scope may end meanwhile
      armed_.erase(due.place);
      due.is_armed = false;
      hold.unlock();
      source.request_stop();
      hold.lock();
    }
  }

  const runtime* const of_;
  mutex books_;
  sync::raw_semaphore alarm_{0};
  // Guarded by books_.
  armed_deadlines armed_;
  std::int64_t sleeps_until_ = 0;
  bool has_thread_ = false;
  bool ends_ = false;
};

namespace {

struct all_keepers {
  mutex lock;
  // Guarded by lock. Stable addresses.
  std::list<deadline_keeper> keepers;
};

// Never destroyed: threads of the default runtime may still run while static objects are.
all_keepers& all() {
  static auto* const made = new all_keepers;
  return *made;
}

deadline_keeper* find(all_keepers& among, const runtime& of) noexcept {
  for (deadline_keeper& each : among.keepers) {
    if (&each.of() == &of) return &each;
  }
  return nullptr;
}

deadline_keeper& keeper_of(const runtime& of) {
  all_keepers& known = all();
  const std::lock_guard hold(known.lock);
  if (deadline_keeper* found = find(known, of)) return *found;
  return known.keepers.emplace_back(of);
}

}  // namespace

// Made now if there is none: threads that still run may arm their first deadline after this.
void end_deadlines(const runtime& of) noexcept { keeper_of(of).end(); }

void forget_deadlines(const runtime& of) noexcept {
  all_keepers& known = all();
  const std::lock_guard hold(known.lock);
  known.keepers.remove_if([&of](const deadline_keeper& each) { return &each.of() == &of; });
}

}  // namespace detail

deadline_scope::deadline_scope(const wait_limit& limit)
    : until_(limit.until()),
      outer_(this_thread::stop_token()),
      token_(outer_.source().get_token()),
      own_(token_) {
  if (limit.stop().stop_possible()) {
    also_.emplace(limit.stop(), [this] { outer_.source().request_stop(); });
  }
  if (until_.is_never()) return;
  if (until_.has_passed()) {
    outer_.source().request_stop();
    return;
  }
  keeper_ = &detail::keeper_of(runtime::current());
  keeper_->arm(until_, mine_);
}

deadline_scope::~deadline_scope() {
  if (keeper_ != nullptr) keeper_->disarm(mine_);
}

}  // namespace treadle
