// `treadle lab`: runs the experiments and writes the reports.
#pragma once

#include <string>
#include <vector>

namespace treadle::cli {

struct lab_arguments {
  bool list = false;
  bool quick = false;
  std::vector<std::string> only;    // experiment ids; empty: all
  std::vector<std::string> models;  // empty: all
  std::string json_file;            // empty: none
  std::string report_file;          // empty: none
};

// Checks everything, then runs; returns the exit status. Bad arguments: one line on stderr.
int lab_command(const lab_arguments& arguments);

}  // namespace treadle::cli
