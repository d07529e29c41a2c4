// The experiments, one a file, by name. Only experiments.cpp needs them all.
#pragma once

#include "treadle/lab/experiment.hpp"

namespace treadle::lab {

extern const experiment switch_cost;
extern const experiment create_cost_experiment;
extern const experiment contended_lock;
extern const experiment rcu;
extern const experiment spin_and_block;
extern const experiment kernel_memory;
extern const experiment address_space;
extern const experiment million;
extern const experiment parallelism;
extern const experiment blocking_call;
extern const experiment page_fault;
extern const experiment async_cure;
extern const experiment syscall_handoff;
extern const experiment activations;
extern const experiment preemption;
extern const experiment priority_inversion;
extern const experiment servers;
extern const experiment signal_mask;
extern const experiment signal_delivery;
extern const experiment fork_experiment;
extern const experiment futex;
extern const experiment work_stealing;
extern const experiment thread_pool;
extern const experiment async_await;
extern const experiment thread_local_storage;

}  // namespace treadle::lab
