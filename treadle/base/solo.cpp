#include "treadle/base/solo.hpp"

#include <linux/membarrier.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "treadle/base/atomic.hpp"
#include "treadle/base/check.hpp"
#include "treadle/base/party_book.hpp"
#include "treadle/base/spin_lock.hpp"

extern "C" {
__thread treadle::base::party treadle_party = {treadle::base::party_stranger, 0, nullptr, nullptr,
                                               0};
std::int64_t treadle_rseq_cs_offset = 0;
}

// Before anybody can run a sequence: each writes there, also where the kernel knows nothing of it.
// The area is there in any case (glibc, sysdeps/unix/sysv/linux/dl-rseq-symbols.S).
#if defined(__x86_64__) && !defined(TREADLE_SANITIZED)
[[gnu::constructor(101)]] static void find_rseq() noexcept {
  treadle_rseq_cs_offset = __rseq_offset + static_cast<std::int64_t>(offsetof(rseq, rseq_cs));
}
#endif

namespace treadle::base {
namespace {

// Guess: with more kernel threads than this awake, one is hardly ever left alone.
constexpr unsigned parties_worthwhile = 64;

constinit atomic<unsigned> parties_hint{0};
constinit atomic<bool> expected{false};
constinit atomic<void (*)() noexcept> stranger_hook{nullptr};

std::uint32_t mode_of(const party& one) noexcept {
  return __atomic_load_n(&one.mode, __ATOMIC_RELAXED);  // relaxed: written under the lock
}
long membarrier(int command) noexcept {
  const int saved = errno;
  const long result = ::syscall(SYS_membarrier, command, 0, 0);
  errno = saved;
  return result;
}

// Once, under the lock. Without it (an old kernel, a sandbox, valgrind) nobody is ever alone.
bool probe() noexcept {
#if defined(__x86_64__) && !defined(TREADLE_SANITIZED)
  if (__rseq_size == 0) return false;
  return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0;
#else
  return false;
#endif
}

struct kernel {
  static void set_mode(party& one, std::uint32_t mode) noexcept {
    // release: who finds himself alone must see all that the others did before they left
    __atomic_store_n(&one.mode, mode, __ATOMIC_RELEASE);
  }
  static void revoke() noexcept {
    const long result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
    TREADLE_CHECK(result == 0, "membarrier was registered but does not work");
  }
};

struct party_book {
  spin_lock lock;
  // Guarded by lock.
  basic_party_book<party, kernel> list;
  bool probed = false;

  // relaxed, both: a hint
  void enter(party& mine) noexcept {
    list.enter(mine);
    parties_hint.store(list.parties(), relaxed);
  }
  void leave(party& mine, party_mode mode) noexcept {
    list.leave(mine, mode);
    parties_hint.store(list.parties(), relaxed);
  }
};

constinit party_book book;

}  // namespace

void enter_party(bool candidate) noexcept {
  party& mine = treadle_party;
  if (mode_of(mine) != party_stranger) return;
  const guard hold(book.lock);
  if (!book.probed) {
    book.probed = true;
    if (probe()) book.list.allow();
  }
  mine.candidate = candidate ? 1 : 0;
  book.enter(mine);
}

void leave_party() noexcept {
  party& mine = treadle_party;
  if (mode_of(mine) == party_stranger) return;
  const guard hold(book.lock);
  book.leave(mine, party_stranger);
}

void expect_candidates() noexcept { expected.store(true, relaxed); }  // relaxed: a hint

bool go_away() noexcept {
  // relaxed, both: a wrong guess costs speed only
  if (!expected.load(relaxed) || parties_hint.load(relaxed) > parties_worthwhile) return false;
  party& mine = treadle_party;
  const guard hold(book.lock);
  if (!book.list.is_usable()) return false;
  book.leave(mine, party_away);
  return true;
}

void come_back() noexcept {
  party& mine = treadle_party;
  const guard hold(book.lock);
  book.enter(mine);
}

#if !defined(__x86_64__)
[[gnu::noinline]] void count_lock() noexcept {
  ++treadle_party.locks;
  compiler_fence();
}
[[gnu::noinline]] void uncount_lock() noexcept {
  compiler_fence();
  --treadle_party.locks;
}
#endif
[[gnu::noinline]] std::uint32_t locks_held() noexcept { return treadle_party.locks; }

void set_stranger_hook(void (*hook)() noexcept) noexcept {
  stranger_hook.store(hook, release);  // pairs with greet_stranger()
}

void greet_stranger() noexcept {
  if (mode_of(treadle_party) != party_stranger) return;
  const auto hook = stranger_hook.load(acquire);  // pairs with set_stranger_hook()
  if (hook != nullptr) hook();
}

}  // namespace treadle::base
