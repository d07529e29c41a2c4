// `treadle compare`: a program natively and under each model, beside each other.
#pragma once

#include <string>
#include <vector>

namespace treadle::cli {

struct compare_arguments {
  std::string runs = "5";
  std::string timeout = "300";               // seconds
  std::vector<std::string> models;           // empty: all
  std::string workers;                       // empty: as the environment says
  std::string workers_option = "--workers";  // the word by which it was given
  std::string input_file;                    // empty: nothing to read
  std::string json_file;                     // empty: none
  std::string report_file;                   // empty: none
  std::vector<std::string> program;
};

// Checks everything, then runs; returns the exit status. Bad arguments: one line on stderr. Ends by
// the signal when one asks for it.
int compare_command(const compare_arguments& arguments);

}  // namespace treadle::cli
