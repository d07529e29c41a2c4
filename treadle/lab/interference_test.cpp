// Which rows other programs' work excuses.
#include "treadle/lab/interference.hpp"

#include <gtest/gtest.h>

#include "treadle/lab/prediction.hpp"

namespace treadle::lab {
namespace {

const subject somewhere{"m:n", "speed-up", "times", "plot", "label"};

row differing() { return judge(somewhere, about(2, 1.3, "P"), sample::once(1)); }

TEST(interference, a_row_that_differs_is_excused_when_others_were_busy) {
  const row made = unless_disturbed(differing(), 0.45);
  EXPECT_EQ(made.verdict, verdict::not_run);
  EXPECT_FALSE(made.measured.has_value());
  EXPECT_NE(made.why.find("45 %"), std::string::npos) << made.why;
  EXPECT_NE(made.why.find("measured 1 times"), std::string::npos) << made.why;
}

TEST(interference, a_quiet_machine_excuses_nothing) {
  EXPECT_EQ(unless_disturbed(differing(), 0.05).verdict, verdict::differs);
}

TEST(interference, a_row_that_holds_needs_no_excuse) {
  const row made = judge(somewhere, about(2, 1.3, "P"), sample::once(2));
  EXPECT_EQ(unless_disturbed(made, 0.9).verdict, verdict::holds);
}

TEST(interference, is_a_share) {
  const interference watch;
  EXPECT_GE(watch.share(), 0);
  EXPECT_LE(watch.share(), 1);
}

}  // namespace
}  // namespace treadle::lab
