#include "treadle/cli/model_list.hpp"

#include <algorithm>
#include <stdexcept>

#include "treadle/cli/complaint.hpp"

namespace treadle::cli {

std::vector<treadle::model> chosen_models(const std::vector<std::string>& names) {
  std::vector<treadle::model> all{model::many_to_one, model::one_to_one, model::many_to_many};
  if (names.empty()) return all;
  for (const std::string& name : names) {
    const bool known = std::any_of(all.begin(), all.end(),
                                   [&](treadle::model each) { return to_string(each) == name; });
    if (!known) {
      throw std::invalid_argument(complaint("--model", name, "m:1, 1:1 and m:n"));
    }
  }
  std::vector<treadle::model> chosen;
  for (const treadle::model each : all) {
    if (std::find(names.begin(), names.end(), to_string(each)) != names.end()) {
      chosen.push_back(each);
    }
  }
  return chosen;
}

}  // namespace treadle::cli
