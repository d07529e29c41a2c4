// Verdicts: each sense at its edges, and what a row says about itself.
#include "treadle/lab/prediction.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace treadle::lab {
namespace {

const subject somewhere{"m:1", "a switch", "ns", "cost", "label"};

TEST(prediction, about_accepts_a_factor_either_way) {
  const prediction value = about(100, 2, "because");
  EXPECT_TRUE(accepts(value, 50));
  EXPECT_TRUE(accepts(value, 200));
  EXPECT_FALSE(accepts(value, 49.9));
  EXPECT_FALSE(accepts(value, 200.1));
}

TEST(prediction, about_orders_the_band_of_a_negative_value_too) {
  const prediction value = about(-100, 2, "because");
  EXPECT_TRUE(accepts(value, -100));
  EXPECT_TRUE(accepts(value, -199));
  EXPECT_FALSE(accepts(value, -49));
}

TEST(prediction, bounds_have_one_side) {
  EXPECT_TRUE(accepts(at_most(100, 1, ""), -1e9));
  EXPECT_TRUE(accepts(at_most(100, 1, ""), 100));
  EXPECT_FALSE(accepts(at_most(100, 1, ""), 101));
  EXPECT_TRUE(accepts(at_most(100, 1.5, "", 10), 160));
  EXPECT_TRUE(accepts(at_least(100, 1, ""), 1e9));
  EXPECT_FALSE(accepts(at_least(100, 1, ""), 99));
  EXPECT_TRUE(accepts(at_least(100, 1.25, ""), 80));
}

TEST(prediction, zero_with_slack_accepts_what_is_within_the_slack) {
  EXPECT_TRUE(accepts(at_most(0, 1, "", 5), 5));
  EXPECT_FALSE(accepts(at_most(0, 1, "", 5), 5.1));
  EXPECT_TRUE(accepts(at_most(0, 1, ""), 0));
  EXPECT_FALSE(accepts(at_most(0, 1, ""), 0.001));
}

TEST(prediction, between_includes_its_ends_and_shows_the_middle) {
  const prediction value = between(5, 20, "the text");
  EXPECT_TRUE(accepts(value, 5));
  EXPECT_TRUE(accepts(value, 20));
  EXPECT_FALSE(accepts(value, 21));
  EXPECT_DOUBLE_EQ(value.value, 10);
}

TEST(prediction, a_row_that_holds_has_both_numbers_and_says_why) {
  const row made = judge(somewhere, at_most(100, 1, "c_k / 10"), sample{40, 30, 60, 5});
  EXPECT_EQ(made.verdict, verdict::holds);
  EXPECT_DOUBLE_EQ(made.predicted.value(), 100);
  EXPECT_DOUBLE_EQ(made.measured.value(), 40);
  EXPECT_NE(made.why.find("c_k / 10"), std::string::npos);
  EXPECT_NE(made.why.find("median of 5, 30 ns to 60 ns"), std::string::npos) << made.why;
  EXPECT_EQ(made.shown, "<= 100 ns");
}

TEST(prediction, a_row_that_differs_says_both_numbers) {
  const row made = judge(somewhere, about(100, 2, "formula"), sample::once(500));
  EXPECT_EQ(made.verdict, verdict::differs);
  EXPECT_NE(made.why.find("100 ns"), std::string::npos) << made.why;
  EXPECT_NE(made.why.find("500 ns"), std::string::npos) << made.why;
  EXPECT_NE(made.why.find("5 times the prediction"), std::string::npos) << made.why;
}

TEST(prediction, a_measurement_that_is_no_number_was_not_run) {
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  const row made = judge(somewhere, about(100, 2, "formula"), sample::once(nothing));
  EXPECT_EQ(made.verdict, verdict::not_run);
  EXPECT_FALSE(made.measured.has_value());
}

TEST(prediction, a_row_that_was_not_run_always_has_a_reason) {
  EXPECT_EQ(not_run(somewhere, "one core").why, "one core");
  EXPECT_FALSE(not_run(somewhere, "").why.empty());
  const row made = not_run(somewhere, about(100, 2, "formula"), "one core");
  EXPECT_DOUBLE_EQ(made.predicted.value(), 100);
  EXPECT_FALSE(made.measured.has_value());
}

TEST(row, the_public_form_has_seven_fields_and_nulls) {
  const nlohmann::json made = public_json(not_run(somewhere, "one core"));
  EXPECT_EQ(made.size(), 7u);
  EXPECT_TRUE(made.at("predicted").is_null());
  EXPECT_TRUE(made.at("measured").is_null());
  EXPECT_EQ(made.at("verdict"), "not run");
}

TEST(row, survives_the_way_between_processes) {
  const row sent = judge(somewhere, at_least(10, 1, "basis"), sample::once(20));
  const row received = row_from_json(nlohmann::json::parse(travelling_json(sent).dump()));
  EXPECT_EQ(public_json(received), public_json(sent));
  EXPECT_EQ(received.plot, "cost");
  EXPECT_EQ(received.label, "label");
  EXPECT_EQ(received.shown, sent.shown);
}

}  // namespace
}  // namespace treadle::lab
