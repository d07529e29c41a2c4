// The list: every experiment is complete, named once, and its plots have keys of their own.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "treadle/lab/experiment.hpp"

namespace treadle::lab {
namespace {

TEST(experiments, are_complete_and_named_once) {
  std::set<std::string_view> ids;
  for (const experiment* each : experiments()) {
    EXPECT_TRUE(ids.insert(each->id).second) << each->id;
    EXPECT_EQ(find_experiment(each->id), each);
    EXPECT_FALSE(each->title.empty()) << each->id;
    EXPECT_FALSE(each->claim.empty()) << each->id;
    EXPECT_FALSE(each->method.empty()) << each->id;
    EXPECT_FALSE(each->look.empty()) << each->id;
    EXPECT_NE(each->run, nullptr) << each->id;
  }
  EXPECT_EQ(find_experiment("nothing"), nullptr);
  EXPECT_EQ(find_probe("nothing"), nullptr);
}

TEST(experiments, have_plots_with_keys_of_their_own) {
  for (const experiment* each : experiments()) {
    std::set<std::string_view> keys;
    EXPECT_FALSE(each->plots.empty()) << each->id;
    for (const plot& one : each->plots) {
      EXPECT_TRUE(keys.insert(one.key).second) << each->id << " " << one.key;
    }
  }
}

}  // namespace
}  // namespace treadle::lab
