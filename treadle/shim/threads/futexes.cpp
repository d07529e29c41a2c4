#include "treadle/shim/threads/futexes.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <cerrno>

#include "treadle/base/clock.hpp"
#include "treadle/shim/door/door.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/futex_call.hpp"
#include "treadle/shim/threads/futex_queue.hpp"
#include "treadle/shim/threads/owned_futexes.hpp"

// Kernel threads on the runtime's side that wait in one of libc's locks, or are about to. The door
// reads it, too.
extern "C" {
constinit treadle::base::atomic<unsigned> treadle_shim_waiting_outside
    __attribute__((visibility("hidden"))){0};
}

namespace treadle::shim {
namespace {

long wait(program_thread& self, const futex_call& call, std::uint32_t bits,
          base::deadline until) noexcept {
  if (bits == 0) return -EINVAL;
  for (;;) {
    const base::deadline look = call.is_private ? until : next_shared_look(until);
    switch (wait_in_queue(self, call.word, call.value, bits, look)) {
      case queue_end::woken:
        return 0;
      case queue_end::another_value:
        return -EAGAIN;
      case queue_end::interrupted:
        return -EINTR;
      case queue_end::timed_out:
        if (until.has_passed()) return -ETIMEDOUT;
        // Another value is as a wake-up from elsewhere; the queue looks once more.
        if (std::uint32_t seen; load_word(call.word, seen) && seen != call.value) return 0;
        break;
      case queue_end::not_there:
        return -EFAULT;
    }
  }
}

long wake(const futex_call& call, std::uint32_t bits) noexcept {
  if (bits == 0) return -EINVAL;
  const auto count = static_cast<int>(call.value) < 0 ? 1u : call.value;
  long woken = wake_futex(call.word, count, bits);
  if (call.is_private) return woken;
  // The second for a foreign library's lock, see trap.cpp.
  for (const int operation : {FUTEX_WAKE, FUTEX_WAKE_PRIVATE}) {
    const long elsewhere = kernel_call(SYS_futex, call.word, operation, count);
    // A word that is not there.
    if (operation == FUTEX_WAKE && elsewhere == -EFAULT && woken == 0) return elsewhere;
    if (elsewhere > 0) woken += elsewhere;
  }
  return woken;
}

// FUTEX_WAKE_OP's little language. Source: futex(2).
std::uint32_t apply(std::uint32_t code, std::uint32_t before) noexcept {
  std::uint32_t argument = code >> 12 & 0xfff;
  if ((code >> 31) != 0) argument = 1u << (argument & 31);
  switch (code >> 28 & 7) {
    case FUTEX_OP_SET:
      return argument;
    case FUTEX_OP_ADD:
      return before + argument;
    case FUTEX_OP_OR:
      return before | argument;
    case FUTEX_OP_ANDN:
      return before & ~argument;
    default:
      return before ^ argument;
  }
}

bool compares(std::uint32_t code, std::uint32_t before) noexcept {
  const auto left = static_cast<std::int32_t>(before);
  const auto right = static_cast<std::int32_t>(code << 20) >> 20;
  switch (code >> 24 & 15) {
    case FUTEX_OP_CMP_EQ:
      return left == right;
    case FUTEX_OP_CMP_NE:
      return left != right;
    case FUTEX_OP_CMP_LT:
      return left < right;
    case FUTEX_OP_CMP_LE:
      return left <= right;
    case FUTEX_OP_CMP_GT:
      return left > right;
    default:
      return left >= right;
  }
}

// 0, or what the kernel says to an address before it looks there.
long check_address(const std::uint32_t* word) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(word);
  if ((address & 3) != 0) return -EINVAL;
  return address >> 47 != 0 ? -EFAULT : 0;  // sourced: user addresses of x86-64
}

long wake_with_operation(const futex_call& call) noexcept {
  if (const long wrong = check_address(call.second_word)) return wrong;
  std::uint32_t before;
  if (!load_word(call.second_word, before)) return -EFAULT;
  for (;;) {
    const exchanged how = exchange_word(call.second_word, before, apply(call.third, before));
    if (how == exchanged::yes) break;
    if (how == exchanged::not_there) return -EFAULT;
  }
  long woken = wake_futex(call.word, call.value, ~0u);
  if (compares(call.third, before)) {
    woken += wake_futex(call.second_word, call.second_count, ~0u);
  }
  return woken;
}

}  // namespace

long wake_futex(std::uint32_t* word, unsigned count, std::uint32_t bits) noexcept {
  const long woken = wake_in_queue(word, count, bits);
  // seq_cst: after the program has changed the word (the queue's lock is a fence); a kernel thread
  // says that it waits before the kernel looks at the word
  if (treadle_shim_waiting_outside.load(base::seq_cst) == 0) [[likely]]
    return woken;
  const long elsewhere = kernel_call(SYS_futex, word, FUTEX_WAKE_PRIVATE, count);
  return elsewhere > 0 ? woken + elsewhere : woken;
}

long serve_futex(saved_call& saved) noexcept {
  program_thread& self = *saved.caller;
  const futex_call call(saved);
  base::deadline until = base::deadline::never();
  // Whose word it is comes first.
  long error = call.operation != FUTEX_UNLOCK_PI ? check_address(call.word) : 0;
  if (error != 0) return error;
  switch (call.operation) {
    case FUTEX_WAIT:
      save_control(saved);
      error = until_of(call, false, until);
      return error != 0 ? error : wait(self, call, ~0u, until);
    case FUTEX_WAIT_BITSET:
      save_control(saved);
      error = until_of(call, true, until);
      return error != 0 ? error : wait(self, call, call.third, until);
    case FUTEX_WAKE:
      return wake(call, ~0u);
    case FUTEX_WAKE_BITSET:
      return wake(call, call.third);
    case FUTEX_CMP_REQUEUE: {
      std::uint32_t seen;
      if (!load_word(call.word, seen)) return -EFAULT;
      if (seen != call.third) return -EAGAIN;
      [[fallthrough]];
    }
    case FUTEX_REQUEUE:
      if (const long wrong = check_address(call.second_word)) return wrong;
      // All who would be moved are woken: they look at the second word by themselves.
      return wake_futex(call.word, ~0u, ~0u);
    case FUTEX_WAKE_OP:
      return wake_with_operation(call);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_TRYLOCK_PI:
      save_control(saved);
      return lock_owned(self, call);
    case FUTEX_UNLOCK_PI:
      save_control(saved);
      return unlock_owned(saved, call);
    default:
      return -ENOSYS;
  }
}

}  // namespace treadle::shim

extern "C" {
std::uint8_t treadle_shim_two_sides = 0;
}

// libc's locks (of malloc, of its list of stacks) are taken on both sides. Who waits for one on the
// program's side is parked in a queue of ours, who waits on the runtime's side sleeps in the
// kernel: a wake-up has to look at both.
// A child that fork() made has one side only. It looks at what its parent's threads own.
extern "C" long treadle_shim_outside_futex(const long* arguments) noexcept {
  using namespace treadle::shim;
  const auto pass_on_futex = [arguments]() noexcept {
    return kernel_call(SYS_futex, arguments[0], arguments[1], arguments[2], arguments[3],
                       arguments[4], arguments[5]);
  };
  long result = 0;
  const int command = static_cast<int>(arguments[1]) & FUTEX_CMD_MASK;
  if (!in_use()) [[unlikely]]
    return lock_owned_in_child(arguments);  // the door lets no others in
  switch (command) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
      treadle_shim_waiting_outside.fetch_add(
          1, treadle::base::seq_cst);  // before the look; see wake_futex()
      result = pass_on_futex();
      treadle_shim_waiting_outside.fetch_sub(1,
                                             treadle::base::relaxed);  // relaxed: one look too many
      return result;
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
      result = pass_on_futex();
      // One wake-up too many is a stray one, which futexes have anyhow.
      return result + wake_in_queue(reinterpret_cast<std::uint32_t*>(arguments[0]),
                                    static_cast<unsigned>(arguments[2]), ~0u);
    default:
      return pass_on_futex();
  }
}
