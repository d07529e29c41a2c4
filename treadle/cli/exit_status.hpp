// What the command's exit status means.
#pragma once

namespace treadle::cli {

inline constexpr int exit_good = 0;
// The command itself failed on the way (a full disk, a lost pipe).
inline constexpr int exit_failed = 1;
// The command line or a TREADLE_* variable is wrong; nothing was run.
inline constexpr int exit_usage = 2;
// As shells say it: the program cannot be executed, or is not there.
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;

}  // namespace treadle::cli
