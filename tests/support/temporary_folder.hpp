// A folder for what a test makes, gone at its end.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace treadle::testing_support {

struct temporary_folder {
  temporary_folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "treadle.XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path = pattern;
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  std::filesystem::path path;
};

}  // namespace treadle::testing_support
