// `treadle run`: starts a program under a threading model.
//
// A program that brings Treadle reads TREADLE_* itself. Any other one gets libtreadle-shim.so,
// which makes its pthreads Treadle threads; where that cannot be, it is refused with status 2.
#pragma once

#include <string>
#include <vector>

namespace treadle::cli {

struct run_arguments {
  // Empty: left as the environment has it.
  std::string model;
  std::string width;
  std::string width_option = "--width";  // the word by which it was given
  std::string stack;
  std::string guard;
  std::string slice;
  std::string stats_file;
  bool falls_back = false;  // rather run natively, with a warning, than be refused
  bool spares_children = false;
  bool is_pure = false;              // what blocks stops all threads, as in the textbook's m:1
  std::string watchdog;              // seconds
  std::vector<std::string> program;  // and its arguments
};

// Becomes the program; returns an exit status only when it cannot.
int run_command(const run_arguments& arguments);

}  // namespace treadle::cli
