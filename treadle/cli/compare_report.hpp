// A comparison for programs and as one HTML page that needs nothing else.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "treadle/cli/compare.hpp"
#include "treadle/lab/machine.hpp"

namespace treadle::cli {

nlohmann::json comparison_json(const compare_plan& plan, const comparison& all,
                               const lab::machine_facts& machine);

std::string comparison_page(const compare_plan& plan, const comparison& all,
                            const lab::machine_facts& machine);

}  // namespace treadle::cli
