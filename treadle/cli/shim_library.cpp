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

namespace {

// What was there comes last, where the later ones win.
void put_in_front(const char* variable, const std::string& first) {
  const char* before = std::getenv(variable);
  const std::string all = before != nullptr && *before != '\0' ? first + ":" + before : first;
  if (::setenv(variable, all.c_str(), 1) != 0) {
    throw std::system_error(errno, std::generic_category(), variable);
  }
}

}  // namespace

void preload(const std::string& library) {
  put_in_front("LD_PRELOAD", library);
  // AddressSanitizer wants to be the first library, and looks for leaks by stopping the process's
  // threads as the kernel knows them: it would miss the stacks of all that wait.
  put_in_front("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0");
}

}  // namespace treadle::cli
