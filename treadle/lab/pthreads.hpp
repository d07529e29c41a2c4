// The lab's pthread program (pthread_program/) under a model, through `treadle run`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

// One worker in m:n unless told: then a yield is a switch there as in m:1.
struct pthread_request {
  std::string_view part;
  long number = 1;
  unsigned workers = 1;
};

// All its records, in one list. Throws std::runtime_error with the reason when it cannot be run
// under the context's model, or does not come to its end.
nlohmann::json run_pthreads(lab_context& lab, const pthread_request& what);

}  // namespace treadle::lab
