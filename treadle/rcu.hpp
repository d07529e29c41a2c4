// Read-copy-update: readers of shared data that wait for nobody, and writers that wait for them.
//
// A reader reads inside a section, `const std::scoped_lock reading(rcu_default_domain());`, and may
// keep the pointers that it finds there until the section ends. A writer makes a new version,
// publishes it with one atomic store, and destroys the old one only when every section that could
// have seen it has ended: rcu_synchronize() waits for that, retire() and rcu_retire() have it
// destroyed later. Usable from and between treadle threads of any model and foreign kernel threads.
// A reader may be preempted, park, and go on on another kernel thread inside a section; grace
// periods last until it has left.
//
// Source: C++26, [saferecl.rcu] (P2545).
#pragma once

#include <memory>
#include <utility>

#include "treadle/sync/raw_rcu.hpp"
#include "treadle/thread/reading.hpp"

namespace treadle {

// What read sections belong to. There is one, rcu_default_domain().
//   lock    begins a section of the calling thread; never blocks, never fails. Sections nest
//   unlock  ends the one begun last, in the thread that began it
// A section that a thread leaves open ends with the thread.
// Happens-before: the end of a section before the return of rcu_synchronize() and before the
// deleter that waited for it; what happens before the call of rcu_synchronize() or retire(), before
// every section for which that does not wait.
// Misuse is fatal and names the call and the thread: unlock() outside of a section.
// Cost: about 1 ns a section; nested, or after the thread has parked in it, some ns.
// Not promised: that a section ends soon because somebody waits for it.
class rcu_domain {
 public:
  rcu_domain(const rcu_domain&) = delete;
  rcu_domain& operator=(const rcu_domain&) = delete;

  [[gnu::always_inline]] void lock() noexcept { core::begin_reading(); }
  [[gnu::always_inline]] bool try_lock() noexcept {
    core::begin_reading();
    return true;
  }
  [[gnu::always_inline]] void unlock() noexcept { core::end_reading(); }

 private:
  constexpr rcu_domain() noexcept = default;
  static rcu_domain process_domain;
  friend rcu_domain& rcu_default_domain() noexcept;
};

inline rcu_domain& rcu_default_domain() noexcept { return rcu_domain::process_domain; }

// Parks the thread until all sections that were open at the call have ended. Fatal inside one.
void rcu_synchronize(rcu_domain& domain = rcu_default_domain()) noexcept;

// Parks the thread until all objects retired before the call are destroyed; may run deleters
// itself. Fatal inside a section or a deleter.
void rcu_barrier(rcu_domain& domain = rcu_default_domain()) noexcept;

// The base of a class T whose objects can be retired without an allocation.
//   retire  has d(static_cast<T*>(this)) called after a grace period; never parks
// Deleters run in some thread's retire(), rcu_retire() or rcu_barrier(), or at the end of a
// runtime, one at a time and in order: hold no lock over these calls that a deleter takes. A
// deleter may park, and retire further objects; it must not throw. Objects are destroyed in
// batches: 64 or more may wait for the next call.
template <class T, class D = std::default_delete<T>>
class rcu_obj_base : private sync::retired {
 public:
  void retire(D d = D(), rcu_domain& = rcu_default_domain()) noexcept {
    deleter_ = std::move(d);
    destroy = [](sync::retired& self) noexcept {
      auto& mine = static_cast<rcu_obj_base&>(self);
      D deleter = std::move(mine.deleter_);
      deleter(static_cast<T*>(&mine));
    };
    sync::raw_rcu::of_process().retire(*this);
  }

 protected:
  rcu_obj_base() = default;
  rcu_obj_base(const rcu_obj_base& other) : sync::retired(), deleter_(other.deleter_) {}
  rcu_obj_base(rcu_obj_base&& other) : sync::retired(), deleter_(std::move(other.deleter_)) {}
  rcu_obj_base& operator=(const rcu_obj_base& other) {
    deleter_ = other.deleter_;
    return *this;
  }
  rcu_obj_base& operator=(rcu_obj_base&& other) {
    deleter_ = std::move(other.deleter_);
    return *this;
  }
  ~rcu_obj_base() = default;

 private:
  [[no_unique_address]] D deleter_{};
};

// The same for an object without that base; allocates, std::bad_alloc.
template <class T, class D = std::default_delete<T>>
void rcu_retire(T* object, D d = D(), rcu_domain& = rcu_default_domain()) {
  struct note : sync::retired {
    note(T* which, D&& how) : object(which), deleter(std::move(how)) {}
    T* object;
    [[no_unique_address]] D deleter;
  };
  auto* made = new note(object, std::move(d));
  made->destroy = [](sync::retired& self) noexcept {
    const std::unique_ptr<note> mine(static_cast<note*>(&self));
    mine->deleter(mine->object);
  };
  sync::raw_rcu::of_process().retire(*made);
}

}  // namespace treadle
