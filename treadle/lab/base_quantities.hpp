// The quantities that the formulas are fed with, each measured once a run.
//
// All are nanoseconds but kernel_bytes (bytes). The names under which they are remembered are what
// the JSON file's "machine" object shows.
#pragma once

#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/sample.hpp"
#include "treadle/runtime.hpp"

namespace treadle::lab {

// c_u: one switch between two user threads that yield to each other, M:1.
sample user_switch(lab_context& lab);

// c_k: a kernel thread wakes the next of a ring through a futex and sleeps, all on one CPU.
sample kernel_switch(lab_context& lab);

// s_k: the kernel switches between two runnable threads on one CPU (sched_yield), nobody sleeps.
sample kernel_yield(lab_context& lab);

// q: how long the kernel lets one of two CPU-bound threads on one CPU run.
sample time_slice(lab_context& lab);

// Creating and joining a thread that does nothing: one after another, or many and then all joined.
sample create_cost(lab_context& lab, treadle::model of);
sample bulk_create_cost(lab_context& lab, treadle::model of);

// The same one after another for 1:1 with all CPUs allowed, in wall time: most of it is the waking
// of the CPU that takes the new thread. What M:N with all its kernel threads is compared with.
sample create_cost_on_all_cpus(lab_context& lab);

// Making a kernel thread, without its run, its end and its join: the text's 5 to 15 us.
sample create_only_cost(lab_context& lab);

// k_b: kernel stack, task structures and page tables of one kernel thread.
sample kernel_bytes(lab_context& lab);

// One turn of spin().
double spin_turn(lab_context& lab);

// The turns of spin() that last `nanoseconds`.
std::uint64_t turns_lasting(lab_context& lab, double nanoseconds);

// An atomic compare-and-swap and a store: the least that a lock and its unlock can cost.
sample atomic_pair(lab_context& lab);

}  // namespace treadle::lab
