#include "treadle/cli/execute.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/standard_streams.hpp"
#include "treadle/cli/watched_run.hpp"

namespace treadle::cli {

int execute(std::vector<std::string> words, std::string_view speaker) {
  std::vector<char*> pointers;
  for (std::string& each : words) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  note_start();
  ::execvp(pointers.front(), pointers.data());
  const int error = errno;
  say(fmt::format("{}cannot start '{}': {}\n", speaker, words.front(), std::strerror(error)));
  return error == ENOENT || error == ENOTDIR ? exit_not_found : exit_not_executable;
}

}  // namespace treadle::cli
