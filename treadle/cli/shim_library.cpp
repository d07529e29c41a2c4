#include "treadle/cli/shim_library.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace treadle::cli {

std::string find_shim() {
  namespace fs = std::filesystem;
  constexpr const char* name = "libtreadle-shim.so";
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  for (const char* way : {"../lib", "../" TREADLE_LIBRARY_FOLDER, "."}) {
    std::error_code error;
    const fs::path found = fs::canonical(folder / way / name, error);
    if (error) continue;
    // Sourced: ld.so(8), both separate the names in LD_PRELOAD.
    if (found.string().find_first_of(": ") != std::string::npos) {
      throw std::runtime_error("LD_PRELOAD cannot name " + found.string() +
                               ", which has a space or a colon in it");
    }
    return found;
  }
  throw std::runtime_error(std::string(name) + " is not there, in " + (folder / "../lib").string() +
                           "; builds with sanitizers and other CPUs than x86-64 have none");
}

void preload(const std::string& library) {
  const char* before = std::getenv("LD_PRELOAD");
  const std::string all = before != nullptr && *before != '\0' ? library + ":" + before : library;
  if (::setenv("LD_PRELOAD", all.c_str(), 1) != 0) {
    throw std::system_error(errno, std::generic_category(), "LD_PRELOAD");
  }
}

}  // namespace treadle::cli
