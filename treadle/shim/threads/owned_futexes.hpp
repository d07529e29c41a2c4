// Futexes whose word holds its owner's number: the locks that inherit priorities (FUTEX_LOCK_PI and
// its relatives). Priorities are not lent: the threads of one process are scheduled by us, and
// first come, first served.
//
// Another process may share such a word, and have the kernel keep its queue: a process without
// Treadle, or a child that fork() made. The kernel hands a lock over to who waits in its queue only
// when the owner's kernel thread says so, and it knows an owner by the number in the word:
// - of our threads it knows the first one, whose number is its kernel thread's. That kernel thread
//   lets go for it, and so hands over to who waits in the kernel.
// - The numbers of our others are no kernel thread's, and a wait for one of these ends with ESRCH
//   (in libc: never). Our own children know that, and look until the word is free.
// Nobody of ours waits in the kernel's queue, where a whole worker would: we take what is free, and
// look from time to time. What the kernel is about to hand over is not free.
// Rejected: a kernel thread for each thread that waits: it, and not the thread, would own the lock,
// and libc would not find it again in a recursive mutex.
#pragma once

#include "treadle/shim/threads/futex_call.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {

// FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TRYLOCK_PI. Or begin_again: a signal is to be handled first.
long lock_owned(program_thread& self, const futex_call& call) noexcept;
long unlock_owned(const saved_call& saved, const futex_call& call) noexcept;

// Whether another process's thread waits for it in the kernel, which then alone changes its owner.
bool has_owner_in_kernel(std::uint32_t* word) noexcept;

// In a child that fork() made, whose threads are the kernel's: FUTEX_LOCK_PI and so on.
long lock_owned_in_child(const long* arguments) noexcept;

}  // namespace treadle::shim
