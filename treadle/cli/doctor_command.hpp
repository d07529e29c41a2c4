// `treadle doctor`: what this machine allows, what Treadle will use of it, and what could be
// allowed to get more. The JSON is described in docs/doctor.md.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace treadle::cli {

struct finding;

struct doctor_arguments {
  std::string json_file;  // empty: none
};

// Returns the exit status: good whatever it finds. Bad arguments: one line on stderr.
int doctor_command(const doctor_arguments& arguments);

// The two forms of the report.
std::string doctor_text(const std::vector<finding>& found);
nlohmann::json doctor_json(const std::vector<finding>& found);

}  // namespace treadle::cli
