// One line on the terminal that says what is going on; nothing when stderr is no terminal.
#pragma once

#include <string>
#include <string_view>

namespace treadle::cli {

class progress_line {
 public:
  progress_line();
  ~progress_line();
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;

  // Replaces what was shown before.
  void show(std::string_view text);
  void clear();

 private:
  bool on_;
  bool shown_ = false;
};

}  // namespace treadle::cli
