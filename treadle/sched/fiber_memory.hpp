// Creation and reclamation of fibers: records, promises of stacks, stacks.
//
// A thread is created with a record and the promise of a stack; it gets the stack at its first
// run (bind), and gives it back at its end (unbind). All of the default size goes through the
// processor's caches without an atomic; other sizes and callers go to the arena.
#pragma once

#include "treadle/context/stack_arenas.hpp"
#include "treadle/sched/fiber_processor.hpp"
#include "treadle/sched/scheduler.hpp"
#include "treadle/sched/worker.hpp"

namespace treadle::core {

struct stack_sizes {
  std::size_t stack_bytes;
  std::size_t guard_bytes;
};

class fiber_memory {
 public:
  // `entry` is what every new stack starts with.
  fiber_memory(stack_sizes sizes, context::entry_function entry) noexcept
      : sizes_(sizes),
        entry_(entry),
        arena_(context::arena_for(sizes.stack_bytes, sizes.guard_bytes)) {}

  // `processor` is null when the caller is not a worker of this scheduler. 0 or an errno.
  [[nodiscard, gnu::always_inline]] int create(worker& on, fiber_processor* processor,
                                               const creation& wanted, thread*& made) noexcept {
    if (wanted.stack_bytes != 0) [[unlikely]]
      return create_slowly(on, processor, wanted, made);
    if (processor == nullptr || processor->promises == 0) [[unlikely]] {
      return create_slowly(on, processor, wanted, made);
    }
    if (const int error = create_plain(on, processor, made)) [[unlikely]]
      return error;
    if (wanted.bind_now) place(*made, *processor->stacks.take(*arena_), wanted);
    return 0;
  }
  // The same for a thread with nothing special about it.
  [[nodiscard, gnu::always_inline]] int create_plain(worker& on, fiber_processor* processor,
                                                     thread*& made) noexcept {
    if (processor == nullptr || processor->promises == 0) [[unlikely]] {
      return create_slowly(on, processor, creation{}, made);
    }
    thread* record = record_pool::acquire(on.records);
    if (record == nullptr) [[unlikely]]
      return no_memory;
    --processor->promises;
    prepare(*record);
    made = record;
    return 0;
  }
  // The same where all is at hand, without a call; else null.
  [[nodiscard, gnu::always_inline]] static thread* create_at_once(
      worker& on, fiber_processor& processor) noexcept {
    if (processor.promises == 0) [[unlikely]]
      return nullptr;
    thread* record = record_pool::acquire_at_once(on.records);
    if (record == nullptr) [[unlikely]]
      return nullptr;
    --processor.promises;
    prepare(*record);
    return record;
  }
  // A scope's child with a stack, which is to begin below its body; null when none is at hand.
  [[nodiscard, gnu::always_inline]] thread* create_child(worker& on,
                                                         fiber_processor& processor) noexcept {
    if (processor.promises == 0) [[unlikely]]
      return nullptr;
    thread* record = record_pool::acquire(on.records);
    if (record == nullptr) [[unlikely]]
      return nullptr;
    --processor.promises;
    record->forked = true;
    occupy(*record, *processor.stacks.take(*arena_));
    return record;
  }
  void discard(worker& on, fiber_processor* processor, thread& unstarted) noexcept;

  // Gives a thread without a stack its stack and body.
  void bind(fiber_processor& processor, thread& which) noexcept {
    thread_body& body = bind_to_run(processor, which);
    which.resume = context::make_frame(reinterpret_cast<std::byte*>(&body), entry_);
  }
  // The same for one that is started below its body at once.
  [[gnu::always_inline]] thread_body& bind_to_run(fiber_processor& processor,
                                                  thread& which) noexcept {
    thread_body& body = *processor.stacks.take(*arena_);
    body.entry = which.start.entry;
    body.inline_closure.words[0] = base::as_one_word(which.start.first_word);
    body.inline_closure.words[1] = base::as_one_word(which.last_word);
    body.closure = &body.inline_closure;
    occupy(which, body);
    return body;
  }

  // Frees the stack of a thread that has left it.
  void unbind(fiber_processor& processor, thread& ended) noexcept {
    thread_body& body = *ended.body;
    body.note.end();
    // relaxed: a report may still name an ended thread
    body.owner.store(nullptr, base::relaxed);
    if (body.stack.arena != arena_) [[unlikely]]
      return give_back(body);
    keep(processor, body);
  }

  // The same for the thread that runs here and is about to leave its stack without another call:
  // the stack goes to our own cache, from which nobody can take it before. False where it cannot.
  // The surplus of promises is somebody else's business: see give_up_surplus().
  [[nodiscard, gnu::always_inline]] bool unbind_running(fiber_processor& processor,
                                                        thread& ending) noexcept {
    thread_body& body = *ending.body;
    if (!context::fiber_note::may_end_itself || body.stack.arena != arena_ ||
        processor.stacks.is_full()) [[unlikely]]
      return false;
    // relaxed: as in unbind()
    body.owner.store(nullptr, base::relaxed);
    processor.stacks.put_into_room(&body);
    ++processor.promises;
    return true;
  }

  // Now and then: what was promised elsewhere and ended here must not pile up. All of it after a
  // recall; so also by who is about to sleep, once that can be seen.
  void give_up_surplus(fiber_processor& processor) noexcept {
    // seq_cst: of a sleeper and who recalls, one sees the other. relaxed: our own
    const unsigned recalls = recalls_.load(base::seq_cst);
    const bool recalled = processor.recalls_answered.load(base::relaxed) != recalls;
    if (processor.promises < 2 * promise_batch && !recalled) [[likely]]
      return;
    give_up_but(processor, recalled ? 0 : promise_batch, recalls);
  }
  // By who leaves the processor to nobody.
  void give_up_all(fiber_processor& processor) noexcept {
    // seq_cst: as in give_up_surplus()
    give_up_but(processor, 0, recalls_.load(base::seq_cst));
  }
  // Where memory is short: processors are to give up what they keep for threads to come. The caller
  // then wakes those that sleep.
  void recall() noexcept { recalls_.fetch_add(1, base::seq_cst); }  // seq_cst: see above
  // Until it has done so, or the time has come. Any kernel thread, which sleeps meanwhile.
  void await_answer(const fiber_processor& from, std::int64_t until) const noexcept;

  // The same where no processor's cache is at hand.
  void unbind_outside(thread& ended) noexcept {
    thread_body& body = *ended.body;
    body.note.end();
    body.owner.store(nullptr, base::relaxed);  // relaxed: as in unbind()
    give_back(body);
  }

  // Room for the caches of `processors` processors; 0 or an errno.
  [[nodiscard]] int open(unsigned processors) noexcept;
  // A stack for an idle context, kept for ever; 0 or an errno.
  [[nodiscard]] int take_for_idle(context::stack& memory) noexcept;
  // Gives back what a stopped processor holds.
  void close(fiber_processor& processor) noexcept;

 private:
  static constexpr int no_memory = 12;  // sourced: ENOMEM, without <cerrno> in a hot header
  // Guess: one visit to the arena's ledger every 64 threads.
  static constexpr std::size_t promise_batch = 64;

  [[gnu::always_inline]] void keep(fiber_processor& processor, thread_body& body) noexcept {
    processor.stacks.put(*arena_, &body);
    ++processor.promises;
    give_up_surplus(processor);
  }

  void give_up_but(fiber_processor& processor, std::size_t kept, unsigned recalls) noexcept {
    arena_->give_up(processor.promises - kept);
    processor.promises = kept;
    processor.recalls_answered.store(recalls, base::release);  // pairs with await_answer()
  }

  static void prepare(thread& record) noexcept {
    record.bound = false;
    record.forked = false;
    record.completion.begin();
  }

  // With room for the closure between the body and the thread's first frame.
  void place(thread& which, thread_body& body, const creation& wanted) noexcept {
    auto* top = reinterpret_cast<std::byte*>(&body);
    if (wanted.closure_bytes != 0) {
      // Sourced: the System V ABI and AAPCS64 both align stacks to 16.
      top -= (wanted.closure_bytes + 15) & ~std::size_t{15};
    }
    begin(which, body, top);
    if (wanted.closure_bytes != 0) body.closure = top;
    if (!wanted.name.empty()) body.set_name(wanted.name);
  }

  // `which` is stopped at the beginning of its run.
  void begin(thread& which, thread_body& body, std::byte* top) noexcept {
    body.closure = &body.inline_closure;
    which.resume = context::make_frame(top, entry_);
    occupy(which, body);
  }

  static void occupy(thread& which, thread_body& body) noexcept {
    body.name[0] = '\0';
#if defined(TREADLE_ASSERTIONS)
    body.spinlocks = 0;
#endif
    body.note.begin(body.stack.bottom,
                    static_cast<std::size_t>(body.stack.top - body.stack.bottom));
    which.body = &body;
    which.bound = true;
    // release: pairs with the overflow report's acquire, publishes name and stack
    body.owner.store(&which, base::release);
  }

  int create_slowly(worker& on, fiber_processor* processor, const creation& wanted,
                    thread*& made) noexcept;
  int promise_one(fiber_processor* processor, context::stack_arena& arena) noexcept;
  static void give_back(thread_body& body) noexcept;

  stack_sizes sizes_;
  context::entry_function entry_;
  context::stack_arena* arena_;
  base::atomic<unsigned> recalls_{0};
};

static_assert(sizeof(thread_body) % 16 == 0, "the first frame below a body must be aligned");

}  // namespace treadle::core
