// `treadle run`: starts a program with TREADLE_* set for it.
#pragma once

#include <string>
#include <vector>

namespace treadle::cli {

struct run_arguments {
  // Empty: left as the environment has it.
  std::string model;
  std::string width;
  std::string stack;
  std::string guard;
  std::vector<std::string> program;  // and its arguments
};

// Becomes the program; returns an exit status only when it cannot.
int run_command(const run_arguments& arguments);

}  // namespace treadle::cli
