#include "treadle/rcu.hpp"

namespace treadle {

constinit rcu_domain rcu_domain::process_domain;

void rcu_synchronize(rcu_domain&) noexcept { sync::raw_rcu::of_process().synchronize(); }
void rcu_barrier(rcu_domain&) noexcept { sync::raw_rcu::of_process().barrier(); }

}  // namespace treadle
