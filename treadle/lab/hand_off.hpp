// Two ways to share one hot lock, both measured as nanoseconds for one critical section.
//
// ring: N threads that pass the right on to their neighbour after every section, each parked until
// its turn: the textbook's steady state, where every section ends with one hand-off.
// crowd: N threads that lock a mutex, of whatever kind, do the section and unlock, as programs do;
// whoever comes first gets it, so not every section ends with a hand-off.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/sample.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

// Threads that share the lock: guess, enough that nearly all of them wait at any time.
inline constexpr unsigned ring_threads = 8;

// What a crowd fights for. nptl is libc's own and blocks the kernel thread: for 1:1 only.
enum class lock_kind { plain, timed, recursive, recursive_timed, shared, shared_timed, spin, nptl };
inline constexpr lock_kind lock_kinds[] = {
    lock_kind::plain,  lock_kind::timed,        lock_kind::recursive, lock_kind::recursive_timed,
    lock_kind::shared, lock_kind::shared_timed, lock_kind::spin,      lock_kind::nptl};

std::string_view to_string(lock_kind kind);

struct contest {
  treadle::model model = model::many_to_many;
  std::optional<unsigned> width = {};  // unset: the runtime's own
  unsigned threads = ring_threads;
  std::uint64_t section_turns = 0;  // of spin()
  bool one_cpu = false;             // pin the threads (1:1 only)
};

sample ring_cost(lab_context& lab, const contest& of);
sample crowd_cost(lab_context& lab, const contest& of, lock_kind kind = lock_kind::plain);

}  // namespace treadle::lab
