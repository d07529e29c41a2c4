// What the program wants done when a signal comes.
#pragma once

#include "treadle/shim/signals/signal_set.hpp"

namespace treadle::shim {

kernel_action action_for(int number) noexcept;
// rt_sigaction(2): 0 or a negative errno.
long change_action(int number, const kernel_action* wanted, kernel_action* before) noexcept;

// From now on the kernel has an action of ours for it, and the program's own is kept here.
void take_from_program(int number, const kernel_action& ours) noexcept;
// The same for what faults.hpp has to see first.
void guard_faults() noexcept;
// For a program that is about to be executed: the kernel is to know what of these is ignored.
void tell_ignored_faults() noexcept;
// In a child with memory of its own, which has no other thread: the reverse, for all of them.
void give_back_to_program() noexcept;

enum class [[nodiscard]] disposition{handle, ignore, by_default};
disposition disposition_of(int number) noexcept;

// Lets the kernel do its default action: ends or stops the process. May come back.
void act_by_default(int number) noexcept;

}  // namespace treadle::shim
