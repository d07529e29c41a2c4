// A file that is checked at the beginning and written at the end.
#include "treadle/cli/output_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace treadle::cli {
namespace {

class OutputFile : public ::testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }
  bool is_there() const { return ::access(path_.c_str(), F_OK) == 0; }
  std::string content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string path_ =
      ::testing::TempDir() + "treadle-output-" + std::to_string(::getpid()) + ".json";
};

// However the command is ended meanwhile.
TEST_F(OutputFile, ANewOneIsThereWithItsContentOnly) {
  output_file file("--json", path_);
  EXPECT_FALSE(is_there());
  file.write("all");
  EXPECT_EQ(content(), "all");
}

TEST_F(OutputFile, AnOldOneKeepsItsContentUntilThen) {
  std::ofstream(path_) << "what was before";
  {
    const output_file unwritten("--json", path_);
    EXPECT_EQ(content(), "what was before");
  }
  EXPECT_EQ(content(), "what was before");
  output_file file("--json", path_);
  file.write("new");
  EXPECT_EQ(content(), "new");
}

TEST_F(OutputFile, OneForTwoIsSeen) {
  const std::string around = ::testing::TempDir() + "./" + path_.substr(path_.rfind('/') + 1);
  EXPECT_TRUE(output_file("--json", path_).is_same_as({"--report", around}));
  EXPECT_FALSE(output_file("--json", path_).is_same_as({"--report", path_ + "x"}));
  std::ofstream(path_) << "old";
  EXPECT_TRUE(output_file("--json", path_).is_same_as({"--report", around}));
  EXPECT_FALSE(output_file("--json", path_).is_same_as({"--report", path_ + "x"}));
}

TEST_F(OutputFile, AWrongPathIsRefusedAtOnce) {
  EXPECT_THROW(output_file("--json", "/nonexistent/file"), std::invalid_argument);
  EXPECT_THROW(output_file("--json", ::testing::TempDir()), std::invalid_argument);
}

TEST(JsonText, ReplacesWhatIsNoText) { EXPECT_EQ(json_text("a\xff"), "\"a\xef\xbf\xbd\"\n"); }

}  // namespace
}  // namespace treadle::cli
