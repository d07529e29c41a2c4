// What kind of program a file is: whether the shim can take it, and whether it needs it.
//
// Read from the file alone, before anything is started.
#pragma once

#include <string>

namespace treadle::cli {

enum class program_kind {
  threads_of_libc,  // dynamically linked with glibc: the shim's
  brings_treadle,   // built with Treadle: follows TREADLE_MODEL by itself
  not_for_shim,     // see `why`
  unreadable,       // not there, or not to be read: whoever executes it says why
};

struct program_file {
  program_kind kind = program_kind::unreadable;
  std::string path;  // as execvp() would find it
  std::string why;   // not_for_shim: the rest of a sentence that begins with its name
};

// Follows PATH and `#!` lines.
program_file look_at_program(const std::string& name);

}  // namespace treadle::cli
