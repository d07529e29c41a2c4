// The probes, by name. Only experiments.cpp needs them all.
#pragma once

#include "treadle/lab/experiment.hpp"

namespace treadle::lab {

extern const probe population_probe;
extern const probe locks_probe;
extern const probe spin_probe;
extern const probe echo_load_probe;

}  // namespace treadle::lab
