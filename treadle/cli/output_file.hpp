// A file that the command writes at its end, opened at its beginning, so that a run of minutes is
// not lost to a wrong path; what it held before stays until the new content is there. A new one
// goes again at once, as a signal may end the run, and comes back with its content.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace treadle::cli {

class output_file {
 public:
  // std::invalid_argument names the option and the path when it cannot be opened for writing.
  output_file(const std::string& option, std::string path);
  ~output_file();
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  // The whole content. std::runtime_error when the disk refuses it.
  void write(const std::string& text);

  // Whether both are one regular file.
  bool is_same_as(const output_file& other) const;
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  int number_ = -1;  // none while the file is to come back
};

// std::invalid_argument when --json and --report are one file.
void refuse_one_file_for_two(const std::optional<output_file>& json,
                             const std::optional<output_file>& report);

// The whole content of a JSON file. Bytes that are no UTF-8, as a program's words may have, become
// U+FFFD.
std::string json_text(const nlohmann::json& of);

}  // namespace treadle::cli
