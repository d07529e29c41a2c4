#include "treadle/sched/fiber_memory.hpp"

#include <cerrno>
#include <new>

#include "treadle/base/futex.hpp"

namespace treadle::core {

namespace {

thread_body* body_on(const context::stack& memory) noexcept {
  auto* body = ::new (memory.top - sizeof(thread_body)) thread_body;
  body->stack = memory;
  return body;
}

}  // namespace

thread_body* stack_cache::fetch(context::stack_arena& arena) noexcept {
  context::stack memory;
  const std::size_t taken = arena.take(&memory, 1);
  TREADLE_CHECK(taken == 1, "a promised stack is missing");
  return body_on(memory);
}

// Those beyond the promised one are of the slack that every cache has.
void stack_cache::refill(context::stack_arena& arena) noexcept {
  context::stack fresh[refill_max];
  const std::size_t taken = arena.take(fresh, next_refill_);
  TREADLE_CHECK(taken >= 1, "a promised stack is missing");
  // The arena's first is its warmest, and ours is the last.
  for (std::size_t i = taken; i > 0; --i) bodies_[count_++] = body_on(fresh[i - 1]);
  if (next_refill_ < refill_max) next_refill_ *= 2;
}

void stack_cache::spill(context::stack_arena& arena) noexcept {
  constexpr std::size_t half = capacity / 2;
  context::stack old[half];
  for (std::size_t i = 0; i < half; ++i) {
    timer_queue::forget(*bodies_[i]);
    old[i] = bodies_[i]->stack;
  }
  arena.put(old, half);
  next_refill_ = 1;
  count_ = half;
  for (std::size_t i = 0; i < half; ++i) bodies_[i] = bodies_[i + half];
}

void stack_cache::drain(context::stack_arena& arena) noexcept {
  while (count_ > 0) {
    thread_body& body = *bodies_[--count_];
    timer_queue::forget(body);
    arena.put(&body.stack, 1);
  }
}

int fiber_memory::promise_one(fiber_processor* processor, context::stack_arena& arena) noexcept {
  if (processor == nullptr || &arena != arena_) return arena.promise(1);
  if (processor->promises == 0) {
    if (arena.promise(promise_batch) == 0) {
      processor->promises = promise_batch;
    } else {
      // The last few may still fit where a batch does not.
      if (const int error = arena.promise(1)) return error;
      processor->promises = 1;
    }
  }
  --processor->promises;
  return 0;
}

int fiber_memory::create_slowly(worker& on, fiber_processor* processor, const creation& wanted,
                                thread*& made) noexcept {
  context::stack_arena* arena = arena_;
  if (wanted.stack_bytes != 0 && wanted.stack_bytes != sizes_.stack_bytes) {
    arena = context::arena_for(wanted.stack_bytes, sizes_.guard_bytes);
    if (arena == nullptr) return ENOMEM;
  }
  if (const int error = promise_one(processor, *arena)) return error;
  thread* record = record_pool::acquire(on.records);
  if (record == nullptr) {
    if (processor != nullptr && arena == arena_) {
      ++processor->promises;
    } else {
      arena->give_up(1);
    }
    return ENOMEM;
  }
  prepare(*record);
  // A stack of another size has to be known by its body from the start.
  if (wanted.bind_now || arena != arena_) place(*record, *stack_cache::fetch(*arena), wanted);
  made = record;
  return 0;
}

void fiber_memory::await_answer(const fiber_processor& from, std::int64_t until) const noexcept {
  // Guess: what a worker needs to wake up and lie down again.
  constexpr std::int64_t poll_nanoseconds = 50'000;
  // acquire: pairs with give_up_surplus(). relaxed: ours, or a later one
  while (from.recalls_answered.load(base::acquire) != recalls_.load(base::relaxed)) {
    const std::int64_t now = base::monotonic_now();
    if (now >= until) return;
    base::atomic<std::uint32_t> never{0};
    base::futex_wait(never, 0, base::deadline::at(now + poll_nanoseconds));
  }
}

void fiber_memory::give_back(thread_body& body) noexcept {
  timer_queue::forget(body);
  const context::stack memory = body.stack;
  memory.arena->put(&memory, 1);
  memory.arena->give_up(1);
}

void fiber_memory::discard(worker& on, fiber_processor* processor, thread& unstarted) noexcept {
  if (unstarted.bound) {
    thread_body& body = *unstarted.body;
    body.note.end();
    body.owner.store(nullptr, base::relaxed);  // relaxed: as in unbind()
    give_back(body);
  } else if (processor != nullptr) {
    ++processor->promises;
  } else {
    arena_->give_up(1);
  }
  record_pool::release(on.records, unstarted);
}

int fiber_memory::open(unsigned processors) noexcept {
  base::expect_candidates();
  return arena_ == nullptr ? ENOMEM : arena_->add_slack(processors * stack_cache::capacity);
}

int fiber_memory::take_for_idle(context::stack& memory) noexcept {
  if (const int error = arena_->promise(1)) return error;
  const std::size_t taken = arena_->take(&memory, 1);
  TREADLE_CHECK(taken == 1, "a promised stack is missing");
  return 0;
}

void fiber_memory::close(fiber_processor& processor) noexcept {
  processor.stacks.drain(*arena_);
  arena_->give_up(processor.promises);
  processor.promises = 0;
  arena_->drop_slack(stack_cache::capacity);
}

}  // namespace treadle::core
