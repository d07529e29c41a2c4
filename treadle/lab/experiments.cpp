// The list of experiments and of probes.
#include <array>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/probes.hpp"

namespace treadle::lab {

std::span<const experiment* const> experiments() {
  // From the costs to what follows from them.
  static constexpr std::array<const experiment*, 25> all{&switch_cost,
                                                         &create_cost_experiment,
                                                         &contended_lock,
                                                         &futex,
                                                         &rcu,
                                                         &spin_and_block,
                                                         &kernel_memory,
                                                         &address_space,
                                                         &million,
                                                         &parallelism,
                                                         &blocking_call,
                                                         &page_fault,
                                                         &async_cure,
                                                         &syscall_handoff,
                                                         &activations,
                                                         &preemption,
                                                         &priority_inversion,
                                                         &signal_mask,
                                                         &signal_delivery,
                                                         &fork_experiment,
                                                         &servers,
                                                         &work_stealing,
                                                         &thread_pool,
                                                         &async_await,
                                                         &thread_local_storage};
  return all;
}

const experiment* find_experiment(std::string_view id) {
  for (const experiment* each : experiments()) {
    if (each->id == id) return each;
  }
  return nullptr;
}

const probe* find_probe(std::string_view name) {
  static constexpr std::array<const probe*, 4> all{&population_probe, &locks_probe, &spin_probe,
                                                   &echo_load_probe};
  for (const probe* each : all) {
    if (each->name == name) return each;
  }
  return nullptr;
}

}  // namespace treadle::lab
