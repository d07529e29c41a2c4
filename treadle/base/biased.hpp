// An atomic word whose compare-and-swap needs no bus lock while nobody else is about.
//
// The interface is std::atomic's, as far as the runtime needs it. For a kernel thread that is
// alone (solo.hpp) a compare-and-swap is a restartable sequence: look at the mode, compare, store.
// If the kernel preempts, signals or migrates the thread in between, or another party revokes the
// mode, the sequence starts again in its locked form. Measured on Sapphire Rapids (bench
// mutex_uncontended): 2.4 ns a lock-unlock pair instead of 16.7 ns.
// Everything that changes such a word must go through this class, so that a stranger enters first.
// Other CPUs than x86-64, and sanitizer builds, always take the locked form.
// Source of the sequence's form: rseq(2) and the kernel's tools/testing/selftests/rseq.
#pragma once

#include <cstdint>

#include "treadle/base/atomic.hpp"
#include "treadle/base/solo.hpp"

#if defined(__x86_64__) && !defined(TREADLE_SANITIZED)
#define TREADLE_BIASED 1
#endif

namespace treadle::base {

template <class T>
class biased {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);

 public:
  constexpr biased() noexcept = default;
  constexpr explicit biased(T value) noexcept : word_(value) {}
  biased(const biased&) = delete;
  biased& operator=(const biased&) = delete;

  T load(std::memory_order order) const noexcept { return word_.load(order); }
  void store(T value, std::memory_order order) noexcept { word_.store(value, order); }
  // What a futex waits on.
  const atomic<T>& word() const noexcept { return word_; }

  [[gnu::always_inline]] bool compare_exchange_strong(T& expected, T desired,
                                                      std::memory_order success,
                                                      std::memory_order failure) noexcept {
#if defined(TREADLE_BIASED)
    switch (swap_alone(expected, desired)) {
      case outcome::swapped:
        return true;
      case outcome::differs: {
        const T seen = word_.load(failure);
        if (seen != expected) {
          expected = seen;
          return false;
        }
        break;
      }
      case outcome::not_alone:
        break;
    }
    if (treadle_party.mode == party_stranger) [[unlikely]]
      greet_stranger();
#endif
    return word_.compare_exchange_strong(expected, desired, success, failure);
  }
  [[gnu::always_inline]] bool compare_exchange_weak(T& expected, T desired,
                                                    std::memory_order success,
                                                    std::memory_order failure) noexcept {
    return compare_exchange_strong(expected, desired, success, failure);
  }

  // Only for whoever is alone, and then without a bus lock. False says nothing: the caller goes on
  // with the full form, out of line, so that the common path needs no registers for it.
  [[gnu::always_inline]] bool swap_if_alone([[maybe_unused]] T expected,
                                            [[maybe_unused]] T desired) noexcept {
#if defined(TREADLE_BIASED)
    return swap_alone(expected, desired) == outcome::swapped;
#else
    return false;
#endif
  }

  // Locked whoever is about: for rare paths.
  T fetch_and(T mask, std::memory_order order) noexcept {
    enter();
    return word_.fetch_and(mask, order);
  }
  T exchange(T value, std::memory_order order) noexcept {
    enter();
    return word_.exchange(value, order);
  }
  T fetch_add(T more, std::memory_order order) noexcept {
    enter();
    return word_.fetch_add(more, order);
  }
  T fetch_sub(T less, std::memory_order order) noexcept {
    enter();
    return word_.fetch_sub(less, order);
  }

 private:
  void enter() noexcept {
#if defined(TREADLE_BIASED)
    if (treadle_party.mode == party_stranger) [[unlikely]]
      greet_stranger();
#endif
  }

#if defined(TREADLE_BIASED)
  enum class outcome { swapped, differs, not_alone };

// 3: the description that the kernel reads; 1 to 2: the sequence, whose last instruction commits;
// 4: where the kernel sends an interrupted one, behind the signature that it checks. The `?` puts
// both sections into the group of the function, so that the linker keeps or drops them together.
#define TREADLE_SEQUENCE(suffix)                \
  ".pushsection __rseq_cs, \"aw?\"\n\t"         \
  ".balign 32\n"                                \
  "3:\t.long 0, 0\n\t"                          \
  ".quad 1f, 2f - 1f, 4f\n\t"                   \
  ".popsection\n\t"                             \
  ".pushsection __rseq_failure, \"ax?\"\n\t"    \
  ".byte 0x0f, 0xb9, 0x3d\n\t"                  \
  ".long 0x53053053\n"                          \
  "4:\tjmp %l[not_alone]\n\t"                   \
  ".popsection\n\t"                             \
  "leaq 3b(%%rip), %%rax\n\t"                   \
  "movq %[offset], %%rcx\n\t"                   \
  "movq %%rax, %%fs:(%%rcx)\n\t"                \
  "movq treadle_party@gottpoff(%%rip), %%rcx\n" \
  "1:\tcmpl $2, %%fs:(%%rcx)\n\t"               \
  "jne %l[not_alone]\n\t"                       \
  "cmp" suffix                                  \
  " %[expected], %[word]\n\t"                   \
  "jne %l[differs]\n\t"                         \
  "mov" suffix                                  \
  " %[desired], %[word]\n"                      \
  "2:\n"

  [[gnu::always_inline]] outcome swap_alone(T expected, T desired) noexcept {
    static_assert(party_alone == 2, "the assembly names it");
    if constexpr (sizeof(T) == 4) {
      asm goto(TREADLE_SEQUENCE("l")
               :
               : [offset] "m"(treadle_rseq_cs_offset), [word] "m"(word_), [expected] "r"(expected),
                 [desired] "r"(desired)
               : "rax", "rcx", "memory", "cc"
               : not_alone, differs);
    } else {
      asm goto(TREADLE_SEQUENCE("q")
               :
               : [offset] "m"(treadle_rseq_cs_offset), [word] "m"(word_), [expected] "r"(expected),
                 [desired] "r"(desired)
               : "rax", "rcx", "memory", "cc"
               : not_alone, differs);
    }
    return outcome::swapped;
  differs:
    return outcome::differs;
  not_alone:
    return outcome::not_alone;
  }
#undef TREADLE_SEQUENCE
#endif

  atomic<T> word_{};
};

// The same for any atomic; those that cannot are never alone.
template <class Atomic, class T>
[[gnu::always_inline]] inline bool swap_if_alone([[maybe_unused]] Atomic& word,
                                                 [[maybe_unused]] T expected,
                                                 [[maybe_unused]] T desired) noexcept {
  if constexpr (requires { word.swap_if_alone(expected, desired); }) {
    return word.swap_if_alone(expected, desired);
  } else {
    return false;
  }
}

}  // namespace treadle::base
