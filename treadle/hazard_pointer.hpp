// Hazard pointers: a thread says which object it uses, and nobody destroys it meanwhile.
//
// Each protects one object, for as long as one likes: what is retired and protected by nobody is
// destroyed soon, whatever other readers do. (Read sections, rcu.hpp, cost less and protect all
// that is read in them, but hold back everything while they last.) Usable from and between treadle
// threads of any model and foreign kernel threads; a hazard pointer may be moved to another thread,
// and its owner may park or be preempted.
//
// Source: C++26, [saferecl.hp] (P2530).
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "treadle/base/atomic.hpp"
#include "treadle/sync/raw_hazards.hpp"

namespace treadle {

// The base of a class T whose objects hazard pointers can protect.
//   retire  after it was made unfindable: has d(static_cast<T*>(this)) called when no hazard
//           pointer protects it; never parks
// Deleters run in some thread's retire(), or at the end of a runtime: hold no lock over it that a
// deleter takes. A deleter may park, and retire further objects; it must not throw.
// How many may wait: 64, two for each hazard pointer that there ever was at one time (rounded up to
// 63), and what threads that destroy just then have in their hands.
template <class T, class D = std::default_delete<T>>
class hazard_pointer_obj_base : private sync::hazard_retired {
 public:
  void retire(D d = D()) noexcept {
    deleter_ = std::move(d);
    address = static_cast<const T*>(this);
    destroy = [](sync::retired& self) noexcept {
      auto& mine = static_cast<hazard_pointer_obj_base&>(static_cast<sync::hazard_retired&>(self));
      D deleter = std::move(mine.deleter_);
      deleter(static_cast<T*>(&mine));
    };
    sync::raw_hazards::of_process().retire(*this);
  }

 protected:
  hazard_pointer_obj_base() = default;
  hazard_pointer_obj_base(const hazard_pointer_obj_base& other)
      : sync::hazard_retired(), deleter_(other.deleter_) {}
  hazard_pointer_obj_base(hazard_pointer_obj_base&& other)
      : sync::hazard_retired(), deleter_(std::move(other.deleter_)) {}
  hazard_pointer_obj_base& operator=(const hazard_pointer_obj_base& other) {
    deleter_ = other.deleter_;
    return *this;
  }
  hazard_pointer_obj_base& operator=(hazard_pointer_obj_base&& other) {
    deleter_ = std::move(other.deleter_);
    return *this;
  }
  ~hazard_pointer_obj_base() = default;

 private:
  [[no_unique_address]] D deleter_{};
};

namespace detail {

template <class T, class D>
void base_to_protect(const hazard_pointer_obj_base<T, D>&);
// Has that base for itself: an object is known by the address of the T that it is retired as.
template <class T>
concept hazard_protectable = requires(const T& object) {
  base_to_protect<std::remove_cv_t<T>>(object);
};

}  // namespace detail

// Protects one object or none. Made by make_hazard_pointer(); one made by default is empty and may
// only be assigned to, swapped and destroyed.
//   protect           the pointer in `source`, protected: never blocks; tries again as long as
//                     others change `source`
//   try_protect       the same once: whether `source` still has `pointer`; else `pointer` is what
//                     it has now, and nothing is protected
//   reset_protection  protects an object that the caller knows cannot have been retired; or none
// T has the base for itself; a class derived from T is protected through a pointer to T.
// Happens-before: the last use of an object before its deleter.
// Cost: 1 to 2 ns a protection; make_hazard_pointer() takes a lock, so keep them.
class hazard_pointer {
 public:
  hazard_pointer() noexcept = default;
  hazard_pointer(hazard_pointer&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  hazard_pointer& operator=(hazard_pointer&& other) noexcept {
    hazard_pointer(std::move(other)).swap(*this);
    return *this;
  }
  ~hazard_pointer() {
    if (cell_ != nullptr) sync::raw_hazards::of_process().give_back(*cell_);
  }

  [[nodiscard]] bool empty() const noexcept { return cell_ == nullptr; }

  template <class T>
  T* protect(const base::atomic<T*>& source) noexcept {
    T* pointer = source.load(base::relaxed);  // relaxed: try_protect() looks again
    while (!try_protect(pointer, source)) {
    }
    return pointer;
  }
  template <class T>
  bool try_protect(T*& pointer, const base::atomic<T*>& source) noexcept {
    T* const old = pointer;
    reset_protection(old);
    pointer = source.load(base::acquire);  // pairs with who published the object
    if (pointer == old) [[likely]]
      return true;
    reset_protection();
    return false;
  }
  template <class T>
  void reset_protection(const T* pointer) noexcept {
    static_assert(detail::hazard_protectable<T>,
                  "T has no base hazard_pointer_obj_base<T> that is public and its only one");
    cell_->protect(pointer);
  }
  void reset_protection(std::nullptr_t = nullptr) noexcept { cell_->clear(); }

  void swap(hazard_pointer& other) noexcept { std::swap(cell_, other.cell_); }

 private:
  explicit hazard_pointer(sync::hazard_cell& cell) noexcept : cell_(&cell) {}
  friend hazard_pointer make_hazard_pointer();

  sync::hazard_cell* cell_ = nullptr;
};

// std::bad_alloc.
[[nodiscard]] inline hazard_pointer make_hazard_pointer() {
  sync::hazard_cell* cell = sync::raw_hazards::of_process().take_cell();
  if (cell == nullptr) throw std::bad_alloc();
  return hazard_pointer(*cell);
}

inline void swap(hazard_pointer& one, hazard_pointer& other) noexcept { one.swap(other); }

}  // namespace treadle
