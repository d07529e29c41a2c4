// The rules of the advice, on made-up runs.
#include "treadle/cli/compare_advice.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace treadle::cli {
namespace {

constexpr int exited_with_1 = 1 << 8;  // as waitpid() says it

struct timing {
  double wall;
  double cpu;
};

way_result way(const char* name, const std::vector<timing>& times) {
  way_result made;
  made.name = name;
  for (const timing& each : times) {
    watched_run run;
    run.wall_ns = each.wall;
    run.user_ns = each.cpu;
    made.runs.push_back(run);
  }
  return made;
}

const std::vector<timing> usual{{100, 100}, {105, 105}, {110, 110}};

class advice_for : public ::testing::Test {
 protected:
  advice_for() { all.native = way("native", usual); }
  advice given() {
    sum_up(all);
    return advise(all);
  }
  comparison all;
};

TEST_F(advice_for, the_fastest_that_is_faster_than_every_native_run) {
  all.models = {way("m:1", {{80, 80}, {81, 81}, {82, 82}}),
                way("m:n", {{50, 90}, {51, 90}, {52, 90}})};
  const advice found = given();
  EXPECT_EQ(found.way, "m:n");
  EXPECT_NE(found.sentence.find("2.06 times as fast"), std::string::npos) << found.sentence;
  EXPECT_NE(found.sentence.find("same output"), std::string::npos) << found.sentence;
}

TEST_F(advice_for, one_within_the_spread_of_native_is_native) {
  all.models = {way("m:n", {{80, 100}, {82, 100}, {101, 100}})};
  EXPECT_EQ(given().way, "native");
}

TEST_F(advice_for, a_small_gain_is_native) {
  all.models = {way("m:n", {{99.7, 99.7}, {99.8, 99.8}, {99.9, 99.9}})};
  all.native = way("native", {{100, 100}, {100, 100}, {100, 100}});
  EXPECT_EQ(given().way, "native");
}

TEST_F(advice_for, one_that_takes_as_long_and_less_cpu_is_that_one) {
  all.models = {way("m:n", {{104, 50}, {105, 50}, {106, 50}})};
  const advice found = given();
  EXPECT_EQ(found.way, "m:n");
  EXPECT_NE(found.sentence.find("48 % of its CPU"), std::string::npos) << found.sentence;
}

TEST_F(advice_for, one_that_saves_cpu_but_takes_longer_is_native) {
  all.models = {way("m:1", {{190, 50}, {200, 50}, {210, 50}})};
  const advice found = given();
  EXPECT_EQ(found.way, "native");
  EXPECT_NE(found.sentence.find("1.90 times as long"), std::string::npos) << found.sentence;
}

TEST_F(advice_for, another_output_or_status_is_never_that_model) {
  const std::vector<timing> fast{{10, 10}, {10, 10}, {10, 10}};
  all.models = {way("m:1", fast), way("1:1", fast), way("m:n", fast)};
  all.models[0].runs[1].out.hash = 7;
  all.models[1].runs[2].status = exited_with_1;
  all.models[2].runs[0].err.bytes = 1;
  const advice found = given();
  EXPECT_EQ(found.way, "native");
  EXPECT_NE(found.sentence.find("m:1 gives another output"), std::string::npos) << found.sentence;
  EXPECT_NE(found.sentence.find("status 0 or status 1"), std::string::npos) << found.sentence;
}

TEST_F(advice_for, output_that_varies_natively_is_no_fault) {
  all.models = {way("m:n", {{10, 10}, {10, 10}, {10, 10}})};
  all.native.runs[1].out.hash = 9;
  const advice found = given();
  EXPECT_EQ(found.way, "m:n");
  EXPECT_NE(found.sentence.find("varies natively"), std::string::npos) << found.sentence;
}

TEST_F(advice_for, a_program_that_ends_differently_natively_is_native) {
  all.models = {way("m:n", {{10, 10}, {10, 10}, {10, 10}})};
  all.native.runs[1].status = exited_with_1;
  EXPECT_EQ(given().way, "native");
}

TEST_F(advice_for, models_that_do_not_run_is_native) {
  all.models = {way("m:n", {})};
  all.models[0].why_not = "cannot";
  const advice found = given();
  EXPECT_EQ(found.way, "native");
  EXPECT_NE(found.sentence.find("m:n does not run it"), std::string::npos) << found.sentence;
}

TEST_F(advice_for, too_few_runs_or_nothing_but_native_is_native) {
  all.models = {way("m:n", {{10, 10}})};
  all.native = way("native", {{100, 100}});
  EXPECT_NE(given().sentence.find("--runs"), std::string::npos);
  all.models[0].name = "1:1";
  all.models[0].is_native = true;
  EXPECT_EQ(given().way, "native");
}

}  // namespace
}  // namespace treadle::cli
