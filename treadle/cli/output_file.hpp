// A file that the command writes at its end, opened at its beginning, so that a run of minutes is
// not lost to a wrong path; what it held before stays until the new content is there.
#pragma once

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

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  int number_ = -1;
};

}  // namespace treadle::cli
