// A variable of which each treadle thread has its own: what C++ thread_local cannot be here,
// because that one belongs to the worker under the thread.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace treadle {
namespace detail {

// One thread's value of one thread_specific object.
struct specific_slot {
  std::uint64_t serial = 0;  // which object it belongs to: indexes are reused
  void* value = nullptr;
  void (*destroy)(void* value) = nullptr;
};

struct specific_key {
  std::uint32_t index;
  std::uint64_t serial;
};

specific_key make_specific_key();
void free_specific_key(specific_key key) noexcept;
// The calling thread's slot, made if it is not there yet. May allocate; std::bad_alloc.
specific_slot& specific_slot_of(specific_key key);
// The same, or null when the thread has no value yet.
specific_slot* find_specific_slot(specific_key key) noexcept;

// Something to be done when the calling thread ends, after its values have been destroyed.
struct exit_note {
  exit_note* next = nullptr;
  void (*run)(exit_note& self) noexcept = nullptr;  // may free it
};
// May allocate; std::bad_alloc. After it add_exit_note() of the same thread cannot fail.
void make_room_for_exit_notes();
void add_exit_note(exit_note& note) noexcept;

}  // namespace detail

// get() makes the calling thread's value, value-initialised, at its first use; the value is
// destroyed when its thread ends, or by reset(). Usable from all threads, foreign ones included.
// Nothing blocks. When the object itself is destroyed, values of threads that still run stay
// until these end. Destructors of values may use other thread_specific objects.
// Source: pthread_key_create; boost::thread_specific_ptr.
template <class T>
class thread_specific {
 public:
  thread_specific() : key_(detail::make_specific_key()) {}
  ~thread_specific() { detail::free_specific_key(key_); }
  thread_specific(const thread_specific&) = delete;
  thread_specific& operator=(const thread_specific&) = delete;

  T& get() {
    if (T* value = get_if()) return *value;
    auto made = std::make_unique<T>();
    detail::specific_slot& slot = detail::specific_slot_of(key_);
    slot.destroy = [](void* value) { delete static_cast<T*>(value); };
    slot.value = made.get();
    return *made.release();
  }
  // Null when the calling thread has no value yet.
  T* get_if() const noexcept {
    const detail::specific_slot* slot = detail::find_specific_slot(key_);
    return slot != nullptr ? static_cast<T*>(slot->value) : nullptr;
  }
  void reset() noexcept {
    detail::specific_slot* slot = detail::find_specific_slot(key_);
    if (slot == nullptr || slot->value == nullptr) return;
    void* old = slot->value;
    slot->value = nullptr;
    slot->destroy(old);
  }

  T& operator*() { return get(); }
  T* operator->() { return &get(); }

 private:
  const detail::specific_key key_;
};

}  // namespace treadle
