#include <cerrno>
#include <cstring>
#include <new>

#include "treadle/sched/fiber_scheduler.hpp"

namespace treadle::core {
namespace {

// Sourced: the System V ABI and AAPCS64 both align stacks to 16.
constexpr std::size_t stack_alignment = 16;

std::byte* align_down(std::byte* address) noexcept {
  return reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(address) &
                                      ~(stack_alignment - 1));
}

}  // namespace

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

int fiber_memory::create(worker& on, fiber_processor* processor, const creation& wanted,
                         thread*& made) noexcept {
  context::stack_arena* arena = arena_;
  if (wanted.stack_bytes != 0 && wanted.stack_bytes != sizes_.stack_bytes) {
    arena = context::arena_for(wanted.stack_bytes, sizes_.guard_bytes);
  }
  if (arena == nullptr) return ENOMEM;
  if (const int error = promise_one(processor, *arena)) return error;
  thread* record = record_pool::acquire(on.records);
  if (record == nullptr) {
    arena->give_up(1);
    return ENOMEM;
  }
  record->bound = false;
  record->forked = false;
  // relaxed: published with the record, by the queue that it goes through
  record->completion.store(thread::unjoined, base::relaxed);
  if (wanted.bind_now || arena != arena_) {
    context::stack memory;
    if (processor != nullptr && arena == arena_) {
      memory = processor->stacks.take(*arena);
    } else {
      const std::size_t taken = arena->take(&memory, 1);
      TREADLE_CHECK(taken == 1, "a promised stack is missing");
    }
    finish_binding(*record, memory, wanted);
  }
  made = record;
  return 0;
}

void fiber_memory::finish_binding(thread& which, const context::stack& memory,
                                  const creation& wanted) noexcept {
  auto* body = ::new (memory.top - sizeof(thread_body)) thread_body;
  std::byte* top = reinterpret_cast<std::byte*>(body);
  body->stack = memory;
  body->set_name(wanted.name);
  if (!which.bound && wanted.closure_bytes == 0) {
    body->entry = which.entry;
    std::memcpy(body->inline_closure, which.closure, thread::closure_bytes);
    body->closure = body->inline_closure;
  } else {
    top = align_down(top - wanted.closure_bytes);
    body->closure = top;
  }
  body->start = context::make_frame(align_down(top), entry_);
  body->note.begin(memory.bottom, static_cast<std::size_t>(memory.top - memory.bottom));
  which.body = body;
  which.resume = &body->start;
  which.bound = true;
  // release: pairs with the overflow report's acquire, publishes name and stack
  body->owner.store(&which, base::release);
}

void fiber_memory::unbind(fiber_processor& processor, thread& ended) noexcept {
  thread_body& body = *ended.body;
  body.note.end();
  body.owner.store(nullptr, base::relaxed);  // relaxed: a report may still name an ended thread
  const context::stack memory = body.stack;
  if (memory.arena != arena_) {
    memory.arena->put(&memory, 1);
    memory.arena->give_up(1);
    return;
  }
  processor.stacks.put(*arena_, memory);
  if (++processor.promises == 2 * promise_batch) {
    processor.promises = promise_batch;
    arena_->give_up(promise_batch);
  }
}

void fiber_memory::discard(worker& on, fiber_processor* processor, thread& unstarted) noexcept {
  if (unstarted.bound) {
    thread_body& body = *unstarted.body;
    body.note.end();
    body.owner.store(nullptr, base::relaxed);  // relaxed: as in unbind()
    const context::stack memory = body.stack;
    memory.arena->put(&memory, 1);
    memory.arena->give_up(1);
  } else if (processor != nullptr) {
    ++processor->promises;
  } else {
    arena_->give_up(1);
  }
  record_pool::release(on.records, unstarted);
}

int fiber_memory::open(unsigned processors) noexcept {
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
