#include "treadle/thread/reading.hpp"

#include "treadle/base/asymmetric_fence.hpp"
#include "treadle/base/check.hpp"
#include "treadle/base/solo.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/thread/body.hpp"

namespace treadle::core {
namespace {

struct slot_list {
  base::spin_lock lock;
  // Guarded by lock.
  read_slot* first = nullptr;
};

constinit slot_list slots;

// Whether it has been tried to do without the readers' own fences.
constinit base::atomic<bool> fence_is_decided{false};

// At the first section and the first grace period: programs that have neither pay nothing.
void decide_fence() noexcept {
  // acquire: pairs with the store below
  if (fence_is_decided.load(base::acquire)) [[likely]]
    return;
  base::asymmetric_fence::prepare();
  if (base::asymmetric_fence::are_usable()) readers.trust_fence();
  fence_is_decided.store(true, base::release);
}

}  // namespace

constinit read_book readers;

void read_book_ground::full_fence() noexcept { base::asymmetric_fence::full(); }

// Not inlined, nor the next: they take the address of thread-local state, and do not park.
[[gnu::noinline]] void begin_reading_slowly() noexcept {
  decide_fence();
  // relaxed: our own
  if (treadle_current.reading.word.load(base::relaxed) == read_slot::stranger) {
    base::greet_stranger();
    TREADLE_CHECK(treadle_current.reading.word.load(base::relaxed) != read_slot::stranger,
                  "a kernel thread in a read section is unknown");
  }
  readers.enter(treadle_current.reading.word);
}

[[gnu::noinline]] void end_reading_slowly() noexcept {
  read_slot& mine = treadle_current.reading;
  thread* self = treadle_current.self;
  if (self == nullptr || !readers.leave(mine.word, self->body->reading)) {
    base::fail_misuse("rcu_domain::unlock", "the thread is in no read section");
  }
}

[[gnu::noinline]] bool is_reading() noexcept {
  const thread* self = treadle_current.self;
  if (self == nullptr) return false;
  // relaxed: our own
  return self->body->reading != 0 ||
         treadle_current.reading.word.load(base::relaxed) != read_book::none;
}

[[gnu::noinline]] void move_read_sections(thread& self) noexcept {
  readers.move(treadle_current.reading.word, self.body->reading);
  watch_end(self);
}

[[gnu::noinline]] void end_read_sections(thread& self) noexcept {
  readers.leave_all(treadle_current.reading.word, self.body->reading);
}

void join_readers() noexcept {
  read_slot& mine = treadle_current.reading;
  const base::guard hold(slots.lock);
  mine.word.store(read_book::none, base::relaxed);  // relaxed: published by the lock
  mine.previous = nullptr;
  mine.next = slots.first;
  if (slots.first != nullptr) slots.first->previous = &mine;
  slots.first = &mine;
}

// A section that was left open ends here.
void leave_readers() noexcept {
  read_slot& mine = treadle_current.reading;
  const base::guard hold(slots.lock);
  (mine.previous != nullptr ? mine.previous->next : slots.first) = mine.next;
  if (mine.next != nullptr) mine.next->previous = mine.previous;
  mine.word.store(read_slot::stranger, base::relaxed);  // relaxed: it is in no list
}

void begin_grace_period() noexcept {
  decide_fence();
  if (readers.begin_period()) {
    base::asymmetric_fence::heavy();
  } else {
    base::asymmetric_fence::full();
  }
}

bool grace_period_is_over() noexcept {
  return readers.is_over([](auto left) {
    const base::guard hold(slots.lock);
    for (const read_slot* each = slots.first; each != nullptr; each = each->next) {
      if (!left(each->word)) return false;
    }
    return true;
  });
}

}  // namespace treadle::core
