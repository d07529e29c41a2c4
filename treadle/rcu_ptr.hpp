// A value that is read all the time and replaced now and then: each reader sees one whole version.
#pragma once

#include <memory>
#include <utility>

#include "treadle/base/atomic.hpp"
#include "treadle/rcu.hpp"

namespace treadle {

// Holds a T or nothing. T is not changed in place.
//   read     begins a read section and gives a view of the present version: never blocks. The view
//            stays valid while it lives, whatever writers do; it belongs to the thread that made it
//   store    publishes a new version; the old one is destroyed when nobody reads it
//   update   makes a copy, has it changed by f(T&), and publishes it; starts again when another
//            writer was faster, so no change is lost. f may be called several times
//   reset    publishes that there is nothing
// Happens-before: store() and update() before each read() that sees their version.
// Exceptions: what copying T and f throw, and std::bad_alloc; then nothing has changed.
// Destroying it needs no grace period: nobody may read it any more.
// Source: folly's ReadMostlySharedPtr and Linux' rcu_assign_pointer() for the idea.
template <class T>
class rcu_ptr {
  struct version : rcu_obj_base<version> {
    template <class... Arguments>
    explicit version(Arguments&&... arguments) : value(std::forward<Arguments>(arguments)...) {}
    T value;
  };

 public:
  class [[nodiscard]] view {
   public:
    view(const view&) = delete;
    view& operator=(const view&) = delete;
    [[gnu::always_inline]] ~view() { core::end_reading(); }

    explicit operator bool() const noexcept { return seen_ != nullptr; }
    const T* get() const noexcept { return seen_ != nullptr ? &seen_->value : nullptr; }
    const T& operator*() const noexcept { return seen_->value; }
    const T* operator->() const noexcept { return &seen_->value; }

   private:
    friend class rcu_ptr;
    [[gnu::always_inline]] explicit view(const base::atomic<version*>& from) noexcept {
      core::begin_reading();
      seen_ = from.load(base::acquire);  // pairs with publish()
    }
    const version* seen_ = nullptr;
  };

  constexpr rcu_ptr() noexcept = default;
  explicit rcu_ptr(T value) : now_(new version(std::move(value))) {}
  ~rcu_ptr() { delete now_.load(base::relaxed); }  // relaxed: nobody else is here
  rcu_ptr(const rcu_ptr&) = delete;
  rcu_ptr& operator=(const rcu_ptr&) = delete;

  [[gnu::always_inline]] view read() const noexcept { return view(now_); }

  void store(T value) { publish(new version(std::move(value))); }
  void reset() noexcept { publish(nullptr); }

  // Null stays null: there is nothing to copy, and f is not called. False then.
  template <class F>
  bool update(F f) {
    for (;;) {
      version* old = nullptr;
      std::unique_ptr<version> made;
      {
        const view seen = read();
        if (!seen) return false;
        old = const_cast<version*>(seen.seen_);
        made = std::make_unique<version>(*seen);
        f(made->value);
        // acq_rel: release the new version; acquire, as in publish(). Inside the section: meanwhile
        // the old one cannot be destroyed and another come to the same address.
        if (!now_.compare_exchange_strong(old, made.get(), base::acq_rel, base::relaxed)) continue;
      }
      static_cast<void>(made.release());
      old->retire();
      return true;
    }
  }

 private:
  void publish(version* made) noexcept {
    // acq_rel: release the new version to readers; acquire the old one, which we destroy
    version* old = now_.exchange(made, base::acq_rel);
    if (old != nullptr) old->retire();
  }

  base::atomic<version*> now_{nullptr};
};

}  // namespace treadle
