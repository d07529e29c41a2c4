// The thread object: one cache line that every queue, waiter and handle points at.
//
// A thread has a record (this) from creation until it is joined, and a stack with a body
// (body.hpp) only from its first run until its end. So a thread that was created and has not run
// yet costs 64 bytes, and of threads that run one after another all use the same warm stack.
// Records are never unmapped: an unpark that comes late meets a record, if of another thread.
// Rejected: the record on the stack page (saves 64 bytes a parked thread, but binds a stack at
// creation: 100,000 threads created in a row then touch 100,000 cold pages).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "treadle/base/atomic.hpp"
#include "treadle/base/cache_line.hpp"
#include "treadle/base/check.hpp"
#include "treadle/context/switch.hpp"
#include "treadle/thread/completion.hpp"
#include "treadle/thread/priority.hpp"
#include "treadle/thread/token.hpp"

namespace treadle::core {

class scheduler_port;
struct thread_body;

// Where a thread is. Changed by transition() only.
enum class thread_state : std::uint8_t {
  free,      // in a record pool
  fresh,     // being created
  ready,     // in a queue, or about to be resumed
  running,   // on a worker
  parked,    // waits, or is about to
  finished,  // left its stack for ever; waits to be joined
};

// Why a thread does what it does: for dumps and traces.
enum class wait_reason : std::uint8_t {
  none,
  started,
  yield,
  mutex,
  shared_mutex,
  condition,
  semaphore,
  latch,
  barrier,
  event,
  wait_group,
  once,
  rcu,
  channel,
  join,
  scope,
  sleep,
  io,
  runtime,
  preempted,
  exited,
};

// Both in one word, so that a report never mixes two moments and a change is one store.
struct alignas(2) situation {
  thread_state state;
  wait_reason why;
};

using closure_function = void (*)(void* closure);

// A closure that is copied as bits, word by word (see as_one_word()).
template <std::size_t Words>
struct closure_words {
  std::uintptr_t words[Words];
  template <std::size_t Room>
  [[gnu::always_inline]] void copy_to(closure_words<Room>& other) const noexcept {
    static_assert(Words <= Room);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((other.words[I] = base::as_one_word(words[I])), ...);
    }
    (std::make_index_sequence<Words>());
  }
};

using small_closure = closure_words<2>;  // travels in the record
using child_closure = closure_words<4>;  // a scope's child gets a stack at once, and has more room

// What to run and the first word of the closure.
struct beginning {
  closure_function entry;
  std::uintptr_t first_word;
};

struct alignas(base::cache_line_bytes) thread {
  // Owned by whoever holds the thread: the queue that it is in, or its worker.
  thread* link = nullptr;
  // Bound to a stack: where to go on when stopped, and the body. Before: what to run.
  union {
    context::resume_point resume;
    beginning start;
  };
  union {
    thread_body* body;
    std::uintptr_t last_word;
  };

  // Atomic.
  park_token permit;
  std::uint32_t id = 0;  // fixed after start
  core::completion completion;
  base::atomic<situation> now{situation{thread_state::free, wait_reason::none}};

  // Fixed after start.
  bool bound = false;   // `body` and `resume` are meant, not `start` and `last_word`
  bool forked = false;  // a scope's child: completion holds no joiner, body->fork does

  // Atomic. Changed through scheduler_port::set_level() only; any other than the normal one, or a
  // hold, makes its scheduler keep it in a queue apart while it is ready.
  base::atomic<thread_level> level{thread_level{}};
  // Written by the thread itself: it holds or waits for something that lends (sched/loans.hpp).
  base::atomic<bool> holds{false};
  // Guarded by the book of loans: it lends or has been lent something.
  bool in_loans = false;

  // Fixed after start.
  scheduler_port* scheduler = nullptr;

  // Whether it goes through the queue for levels when it is ready.
  bool is_levelled() const noexcept {
    // relaxed, both: what a change means for a ready thread, its writer sees to
    return level.load(base::relaxed).effective != priority::normal || holds.load(base::relaxed);
  }

  // Not bound to a stack: what it will run.
  [[gnu::always_inline]] void begin_with(closure_function entry,
                                         const small_closure& closure) noexcept {
    start = {entry, base::as_one_word(closure.words[0])};
    last_word = base::as_one_word(closure.words[1]);
  }

  thread() noexcept : resume{}, body(nullptr) {}
};

static_assert(base::atomic<situation>::is_always_lock_free);
static_assert(base::atomic<thread_level>::is_always_lock_free);
static_assert(sizeof(thread) == base::cache_line_bytes, "one line a record");

// True where the field's rules allow the edge.
constexpr bool may_become(thread_state from, thread_state to) noexcept {
  switch (from) {
    case thread_state::free:
      return to == thread_state::fresh;
    case thread_state::fresh:
      return to == thread_state::ready || to == thread_state::free || to == thread_state::running;
    // back to fresh: the kernel refused a thread of its own
    case thread_state::ready:
      return to == thread_state::running || to == thread_state::fresh;
    case thread_state::running:
      return to == thread_state::ready || to == thread_state::parked ||
             to == thread_state::finished;
    case thread_state::parked:
      return to == thread_state::ready || to == thread_state::running;
    case thread_state::finished:
      return to == thread_state::free;
  }
  return false;
}

#if defined(TREADLE_ASSERTIONS)
// Ends the process when `which`, the calling thread that is about to park, holds a spinlock.
void check_holds_no_spinlock(const thread& which, wait_reason why) noexcept;
#endif

// Every change of state goes through here: the one place to check, trace and explore. Called by
// whoever holds the thread, so nobody changes it at the same time.
inline void transition(thread& which, thread_state from, thread_state to,
                       wait_reason why) noexcept {
  // relaxed, here and below: the holder alone writes; others read for reports
  TREADLE_ASSERT(which.now.load(base::relaxed).state == from, "a thread is in another state");
  TREADLE_ASSERT(may_become(from, to), "a thread may not change state like this");
  static_cast<void>(from);
#if defined(TREADLE_ASSERTIONS)
  if (to == thread_state::parked) check_holds_no_spinlock(which, why);
#endif
  which.now.store(situation{to, why}, base::relaxed);
}

}  // namespace treadle::core
