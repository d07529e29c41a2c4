// The lab's result as one JSON document.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "treadle/lab/conductor.hpp"
#include "treadle/lab/machine.hpp"

namespace treadle::lab {

// {"machine": {...}, "experiments": [{"id", "title", "claim", "rows": [...]}]}
nlohmann::json json_report(const lab_result& of, const machine_facts& machine);

}  // namespace treadle::lab
