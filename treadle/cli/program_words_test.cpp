// The program's words are found where they begin, and stay as they were written.
#include "treadle/cli/program_words.hpp"

#include <gtest/gtest.h>

namespace treadle::cli {
namespace {

using words = std::vector<std::string>;

bool takes(const std::string& option) { return option == "--model" || option == "--width"; }

struct cut {
  words own;
  words program;
};

cut cut_run(words all) {
  all.insert(all.begin(), "run");
  words program = cut_program(all, takes);
  all.erase(all.begin());
  return {all, program};
}

TEST(program_words, stand_behind_two_dashes) {
  const cut found = cut_run({"--model", "m:1", "--pure", "--", "--tr", "--", "[:upper:]"});
  EXPECT_EQ(found.own, (words{"--model", "m:1", "--pure", "--"}));
  EXPECT_EQ(found.program, (words{"--tr", "--", "[:upper:]"}));
}

TEST(program_words, begin_with_the_first_that_is_no_option) {
  const cut found = cut_run({"--width=2", "--model", "m:1", "echo", "--model", "x", "--"});
  EXPECT_EQ(found.own, (words{"--width=2", "--model", "m:1"}));
  EXPECT_EQ(found.program, (words{"echo", "--model", "x", "--"}));
  for (const char* name : {"-", "-5", "", "++", "--!", "{}", "[x]"}) {
    EXPECT_EQ(cut_run({name, "a"}).program, (words{name, "a"}));
  }
}

TEST(program_words, two_dashes_as_a_value_are_a_value) {
  const cut found = cut_run({"--model", "--", "true"});
  EXPECT_EQ(found.own, (words{"--model", "--"}));
  EXPECT_EQ(found.program, (words{"true"}));
}

TEST(program_words, may_be_missing) {
  for (const words& own : {words{}, words{"--"}, words{"--pure"}, words{"--model"}}) {
    const cut found = cut_run(own);
    EXPECT_EQ(found.own, own);
    EXPECT_EQ(found.program, words{});
  }
}

}  // namespace
}  // namespace treadle::cli
