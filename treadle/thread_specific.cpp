#include "treadle/thread_specific.hpp"

#include <vector>

#include "treadle/base/spin_lock.hpp"
#include "treadle/lifecycle.hpp"
#include "treadle/sched/worker.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::detail {
namespace {

struct table {
  std::vector<specific_slot> slots;
  exit_note* notes = nullptr;
  exit_handler* handlers = nullptr;
};

// Sourced: PTHREAD_DESTRUCTOR_ITERATIONS; destructors may make new values so often.
constexpr int destructor_rounds = 4;

struct key_book {
  base::spin_lock lock;
  // Guarded by lock.
  std::vector<std::uint32_t> free;
  std::uint32_t next_index = 0;
  std::uint64_t next_serial = 1;
};

// Never destroyed: static thread_specific objects may be destroyed after it would be.
key_book& keys() {
  static auto* book = new key_book;
  return *book;
}

bool run_exit_handlers(table& mine) noexcept {
  bool any = false;
  while (exit_handler* one = mine.handlers) {
    mine.handlers = one->next;
    one->run();
    delete one;
    any = true;
  }
  return any;
}

void destroy_table(void* values) noexcept {
  auto* mine = static_cast<table*>(values);
  std::vector<specific_slot>& slots = mine->slots;
  for (int round = 0; round < destructor_rounds; ++round) {
    bool any = run_exit_handlers(*mine);
    // By index: a destructor may make the table grow.
    for (std::size_t i = 0; i < slots.size(); ++i) {
      specific_slot& slot = slots[i];
      if (slot.value == nullptr) continue;
      void* old = slot.value;
      slot.value = nullptr;
      slot.destroy(old);
      any = true;
    }
    if (!any) break;
  }
  core::current_thread().body->specific = {};
  exit_note* notes = mine->notes;
  delete mine;
  while (notes != nullptr) {
    exit_note& one = *notes;
    notes = one.next;
    one.run(one);
  }
}

table& own_table() {
  core::specific_table& mine = core::current_thread().body->specific;
  if (mine.values == nullptr) {
    mine.values = new table;
    mine.destroy = &destroy_table;
  }
  return *static_cast<table*>(mine.values);
}

}  // namespace

specific_key make_specific_key() {
  key_book& book = keys();
  const base::guard hold(book.lock);
  std::uint32_t index;
  if (!book.free.empty()) {
    index = book.free.back();
    book.free.pop_back();
  } else {
    index = book.next_index++;
    book.free.reserve(book.next_index);  // so that freeing cannot fail
  }
  return {index, book.next_serial++};
}

void free_specific_key(specific_key key) noexcept {
  key_book& book = keys();
  const base::guard hold(book.lock);
  book.free.push_back(key.index);
}

specific_slot* find_specific_slot(specific_key key) noexcept {
  auto* mine = static_cast<table*>(core::current_thread().body->specific.values);
  if (mine == nullptr || mine->slots.size() <= key.index) return nullptr;
  specific_slot& slot = mine->slots[key.index];
  return slot.serial == key.serial ? &slot : nullptr;
}

specific_slot& specific_slot_of(specific_key key) {
  std::vector<specific_slot>& slots = own_table().slots;
  if (slots.size() <= key.index) slots.resize(key.index + 1);
  specific_slot& slot = slots[key.index];
  if (slot.serial != key.serial) {
    // The value of an object that is gone, whose index this one has got.
    if (slot.value != nullptr) {
      const specific_slot old = slot;
      slot = {};
      old.destroy(old.value);
      return specific_slot_of(key);
    }
    slot.serial = key.serial;
  }
  return slot;
}

void add_exit_handler(std::unique_ptr<exit_handler> one) {
  table& mine = own_table();
  one->next = mine.handlers;
  mine.handlers = one.release();
}

void make_room_for_exit_notes() { own_table(); }

void add_exit_note(exit_note& note) noexcept {
  exit_note*& notes = own_table().notes;
  note.next = notes;
  notes = &note;
}

}  // namespace treadle::detail
