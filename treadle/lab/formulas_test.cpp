// The formulas, against figures worked out by hand and against the text's own example.
#include "treadle/lab/formulas.hpp"

#include <gtest/gtest.h>

namespace treadle::lab {
namespace {

constexpr double user_switch = 10;
constexpr double kernel_switch = 1000;

TEST(formulas, a_hand_off_costs_the_models_own_switches) {
  EXPECT_DOUBLE_EQ(formula::hand_off(model::many_to_one, user_switch, kernel_switch), 10);
  EXPECT_DOUBLE_EQ(formula::hand_off(model::one_to_one, user_switch, kernel_switch), 1000);
  EXPECT_DOUBLE_EQ(formula::hand_off(model::many_to_many, user_switch, kernel_switch), 1010);
}

TEST(formulas, throughput_is_one_over_section_and_hand_off) {
  EXPECT_DOUBLE_EQ(formula::throughput(90, 10), 1e7);
  EXPECT_DOUBLE_EQ(formula::throughput(0, 1000), 1e6);
}

TEST(formulas, the_gain_is_the_difference_of_the_two_throughputs) {
  for (const double section : {0.0, 100.0, 1000.0, 10'000.0}) {
    const double difference =
        formula::throughput(section, user_switch) - formula::throughput(section, kernel_switch);
    EXPECT_NEAR(formula::throughput_gain(section, user_switch, kernel_switch), difference,
                difference * 1e-12);
  }
}

TEST(formulas, the_thread_limit_gives_the_texts_example) {
  constexpr double mebibyte = 1024 * 1024;
  EXPECT_DOUBLE_EQ(formula::thread_limit(80 * mebibyte, mebibyte, 64 * 1024), 1264);
}

TEST(formulas, one_of_eight_cores_is_an_eighth_of_the_machine) {
  EXPECT_DOUBLE_EQ(formula::utilisation(model::many_to_one, 8, 1e6, 1000), 0.125);
  EXPECT_DOUBLE_EQ(formula::utilisation(model::one_to_one, 8, 999'000, 1000), 0.999);
  EXPECT_DOUBLE_EQ(formula::utilisation(model::many_to_many, 8, 1e6, 1000), 1);
  EXPECT_DOUBLE_EQ(formula::speed_up(model::many_to_one, 8, 1e6, 1000), 1);
  EXPECT_DOUBLE_EQ(formula::speed_up(model::many_to_many, 8, 1e6, 1000), 8);
}

TEST(formulas, page_tables_take_eight_bytes_for_each_page) {
  EXPECT_DOUBLE_EQ(formula::page_tables(1, 65'536, 4096), 128);
  EXPECT_DOUBLE_EQ(formula::page_tables(1000, 262'144, 4096), 512'000);
  EXPECT_DOUBLE_EQ(formula::parked_bytes(65'536, 4096), 4224);
}

TEST(formulas, only_many_to_one_cannot_spread_its_work) {
  EXPECT_DOUBLE_EQ(formula::makespan(model::many_to_one, 200, 1000, 4), 200'000);
  EXPECT_DOUBLE_EQ(formula::makespan(model::one_to_one, 200, 1000, 4), 50'000);
  EXPECT_DOUBLE_EQ(formula::makespan(model::many_to_many, 200, 1000, 4), 50'000);
}

TEST(formulas, many_to_one_takes_page_faults_one_by_one) {
  EXPECT_DOUBLE_EQ(formula::page_faults(model::many_to_one, 24, 5e6, 4), 120e6);
  EXPECT_DOUBLE_EQ(formula::page_faults(model::one_to_one, 24, 5e6, 4), 30e6);
  EXPECT_DOUBLE_EQ(formula::page_faults(model::many_to_many, 25, 5e6, 4), 35e6);
  EXPECT_DOUBLE_EQ(formula::page_faults(model::one_to_one, 1, 5e6, 4), 5e6);
}

}  // namespace
}  // namespace treadle::lab
