#include "treadle/lab/pthreads.hpp"

#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "treadle/lab/child.hpp"

namespace treadle::lab {
namespace {

// As a probe's (lab_context.cpp).
constexpr std::chrono::seconds limit_quick{30};
constexpr std::chrono::seconds limit_full{60};

// Beside the command as built, or as installed.
std::string find_program() {
  namespace fs = std::filesystem;
  constexpr const char* name = "treadle-lab-pthreads";
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  for (const char* way : {".", "../" TREADLE_PROGRAM_FOLDER "/treadle"}) {
    std::error_code error;
    const fs::path found = fs::canonical(folder / way / name, error);
    if (!error) return found;
  }
  throw std::runtime_error(std::string("the program ") + name + " is not there");
}

}  // namespace

nlohmann::json run_pthreads(lab_context& lab, const pthread_request& what) {
  nlohmann::json records = nlohmann::json::array();
  const std::string trouble =
      run_words({"treadle", "run", "--model", std::string(lab.model_name()), "--workers",
                 std::to_string(what.workers), "--", find_program(), std::string(what.part),
                 std::to_string(what.number)},
                lab.quick() ? limit_quick : limit_full,
                [&](const nlohmann::json& record) { records.push_back(record); });
  if (!trouble.empty()) throw std::runtime_error("the pthread program " + trouble);
  return records;
}

}  // namespace treadle::lab
