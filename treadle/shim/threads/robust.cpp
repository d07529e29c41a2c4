#include "treadle/shim/threads/robust.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>

#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/futexes.hpp"
#include "treadle/shim/threads/owned_futexes.hpp"

namespace treadle::shim {
namespace {

constexpr int entries_max = 2048;  // sourced: ROBUST_LIST_LIMIT

void leave(const program_thread& ending, std::uint32_t* word) noexcept {
  std::uint32_t seen;
  if (!load_word(word, seen)) return;
  if ((seen & FUTEX_TID_MASK) != static_cast<std::uint32_t>(ending.id)) return;
  // The kernel knows our first thread by its kernel thread, and hands over for that when it ends:
  // with the process.
  if (ending.is_leader && (seen & FUTEX_WAITERS) != 0 && has_owner_in_kernel(word)) return;
  exchanged how;
  while ((how = exchange_word(word, seen, (seen & FUTEX_WAITERS) | FUTEX_OWNER_DIED)) ==
         exchanged::no) {
  }
  if (how == exchanged::not_there) return;
  wake_futex(word, 1, ~0u);
  kernel_call(SYS_futex, word, FUTEX_WAKE, 1);
}

}  // namespace

void leave_robust_locks(program_thread& ending) noexcept {
  robust_head head;
  if (ending.robust == nullptr || !read_program(ending.robust, head)) return;
  // The lowest bit of a link says that the lock inherits priorities.
  const auto plain = [](robust_head* link) noexcept {
    return reinterpret_cast<std::uintptr_t>(link) & ~std::uintptr_t{1};
  };
  const auto word_of = [&](std::uintptr_t entry) noexcept {
    return reinterpret_cast<std::uint32_t*>(entry + static_cast<std::uintptr_t>(head.futex_offset));
  };
  const auto end = reinterpret_cast<std::uintptr_t>(ending.robust);
  std::uintptr_t entry = plain(head.next);
  const std::uintptr_t pending = plain(head.pending);
  for (int i = 0; i < entries_max && entry != end && entry != 0; ++i) {
    robust_head* next;
    if (!read_program(entry, next)) break;
    if (entry != pending) leave(ending, word_of(entry));
    entry = plain(next);
  }
  if (pending != 0) leave(ending, word_of(pending));
}

}  // namespace treadle::shim
