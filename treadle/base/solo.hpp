// Who touches the runtime's shared words, and whether there is only one.
//
// A kernel thread is a party from the time that it is known to the runtime, but not while it
// sleeps: a foreign one in a park, a worker that is idle. When a candidate, which is a worker of
// fibers, is the only party left, it is alone: nobody else can touch a shared word, so its
// compare-and-swaps need no bus lock (biased.hpp), which costs as much as four thread switches.
// As soon as a second party enters, it takes that right away before it touches anything:
// it clears the mode, then membarrier(PRIVATE_EXPEDITED_RSEQ) makes the kernel abort a
// compare-and-swap that the other is in the middle of, which then starts again, locked.
// Rejected: signals instead of restartable sequences (a handler that must know our code), biasing
// each lock to its last owner (revocation is the same work, per lock).
// Sources: rseq(2), membarrier(2); Russell and Detlefs, "Eliminating synchronization-related
// atomic operations with biased locking and bulk rebiasing", OOPSLA'06, for the idea of a bias.
#pragma once

#include <cstdint>

namespace treadle::base {

// What a kernel thread may do with shared words.
enum party_mode : std::uint32_t {
  party_stranger = 0,  // not known yet: must enter first
  party_shared = 1,    // locked operations
  party_alone = 2,     // unlocked ones
  party_away = 3,      // asleep in a park, must come back first
};

struct party {
  std::uint32_t mode;  // read by its kernel thread, written under the book's lock
  // The rest is guarded by the book's lock.
  std::uint32_t candidate;
  party* next;
  party* previous;
  // Its kernel thread's own: spin locks that it holds or is about to take.
  std::uint32_t locks;
};

// Makes the calling kernel thread a party; it may wait for the kernel a microsecond or two.
void enter_party(bool candidate) noexcept;
void leave_party() noexcept;

// Said by a scheduler of fibers before its workers start: until then going away is pointless.
void expect_candidates() noexcept;

// Around the sleep of a kernel thread. go_away() does nothing, and says so by false, when nobody
// could be alone anyway. Between the two no shared word may be changed; to read one is no harm.
[[nodiscard]] bool go_away() noexcept;
void come_back() noexcept;

// Whether the calling kernel thread is away, for one that goes and comes several times.
class absence {
 public:
  absence() noexcept = default;
  ~absence() { end(); }
  absence(const absence&) = delete;
  absence& operator=(const absence&) = delete;

  // False when it is of no use.
  bool begin() noexcept {
    if (!away_) away_ = go_away();
    return away_;
  }
  void end() noexcept {
    if (away_) come_back();
    away_ = false;
  }
  bool is_away() const noexcept { return away_; }

 private:
  bool away_ = false;
};

// What a stranger that touches a shared word runs first: the adoption of foreign kernel threads.
void set_stranger_hook(void (*hook)() noexcept) noexcept;
void greet_stranger() noexcept;

}  // namespace treadle::base

// initial-exec: see thread/current.hpp, whose sibling this is below the thread room.
extern "C" {
extern __thread treadle::base::party treadle_party
    __attribute__((tls_model("initial-exec"), visibility("default")));
// Where the kernel reads the running sequence's description: rseq's rseq_cs field, relative to the
// thread pointer. Fixed after start.
extern std::int64_t treadle_rseq_cs_offset __attribute__((visibility("default")));
}

namespace treadle::base {

// Counts spin locks, so that no thread is preempted that holds one. One instruction each that a
// signal handler on the same kernel thread cannot split; see thread/current.hpp for the form.
#if defined(__x86_64__)
inline void count_lock() noexcept {
  void* offset;
  asm volatile(
      "movq treadle_party@gottpoff(%%rip), %0\n\t"
      "incl %%fs:%c1(%0)"
      : "=&r"(offset)
      : "i"(__builtin_offsetof(party, locks))
      : "memory", "cc");
}
inline void uncount_lock() noexcept {
  void* offset;
  asm volatile(
      "movq treadle_party@gottpoff(%%rip), %0\n\t"
      "decl %%fs:%c1(%0)"
      : "=&r"(offset)
      : "i"(__builtin_offsetof(party, locks))
      : "memory", "cc");
}
#else
void count_lock() noexcept;
void uncount_lock() noexcept;
#endif
// Of the calling kernel thread.
std::uint32_t locks_held() noexcept;

}  // namespace treadle::base
