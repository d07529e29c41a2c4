// create-cost: creating a user thread costs nanoseconds, a kernel thread 5 to 15 us.
#include <fmt/format.h>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/base_quantities.hpp"
#include "treadle/lab/human.hpp"

namespace treadle::lab {
namespace {

// The text's figures.
constexpr double ratio_claimed = 100;
constexpr double kernel_lowest = 5'000;
constexpr double kernel_highest = 15'000;

void kernel_rows(lab_context& lab) {
  const sample alone = create_only_cost(lab);
  lab.report(judge(lab.of("create, not counting end and join", "ns", "cost", "1:1 create alone"),
                   between(kernel_lowest, kernel_highest, "the text's figure for Linux"), alone));
  // A whole life includes the creation.
  const auto whole = [&] {
    return at_least(alone.median, 1.25,
                    "not less than " + named("creation alone", alone.median, "ns"));
  };
  lab.report(judge(
      lab.of("create and join, one after another, on one CPU", "ns", "cost", "1:1 one by one"),
      whole(), create_cost(lab, model::one_to_one)));
  lab.report(judge(
      lab.of("create and join, one after another, on all CPUs", "ns", "cost", "1:1 on all CPUs"),
      whole(), create_cost_on_all_cpus(lab), "wall time: waking another CPU is in it"));
  lab.report(judge(lab.of("create many, then join all: each", "ns", "cost", "1:1 in bulk"), whole(),
                   bulk_create_cost(lab, model::one_to_one), "CPU time of all kernel threads"));
}

void user_rows(lab_context& lab) {
  const std::string short_name(lab.model_name());
  // Like with like: M:1 has one CPU, M:N has all of them.
  const sample kernel = lab.model() == model::many_to_one ? create_cost(lab, model::one_to_one)
                                                          : create_cost_on_all_cpus(lab);
  const sample kernel_bulk = bulk_create_cost(lab, model::one_to_one);
  const sample user = create_cost(lab, lab.model());
  const sample user_bulk = bulk_create_cost(lab, lab.model());
  const auto hundredth = [](const sample& of) {
    return at_most(of.median / ratio_claimed, 1,
                   fmt::format("a hundredth of 1:1's {}", human(of.median, "ns")));
  };
  lab.report_shared(
      judge(lab.of("create and join, one after another", "ns", "cost", short_name + " one by one"),
            hundredth(kernel), user));
  lab.report_shared(
      judge(lab.of("create many, then join all: each", "ns", "cost", short_name + " in bulk"),
            hundredth(kernel_bulk), user_bulk));
  lab.report_shared(judge(lab.of("1:1's cost / this, one after another", "times"),
                          at_least(ratio_claimed, 1, "the claim's ratio"),
                          map(user, [&](double value) { return kernel.median / value; })));
}

void run(lab_context& lab) {
  if (lab.model() == model::one_to_one) {
    kernel_rows(lab);
  } else {
    user_rows(lab);
  }
}

}  // namespace

const experiment create_cost_experiment{
    .id = "create-cost",
    .title = "What a new thread costs",
    .claim =
        "Creating a user thread costs nanoseconds, creating a kernel thread 5 to 15 us: at "
        "least a hundred times as much.",
    .method =
        "Threads that do nothing are created and joined: one after another, and then many at "
        "once that are all joined at the end. The time is divided by their number.",
    .look =
        "The axis is logarithmic. Two grid lines between the user threads and the kernel "
        "threads are the claim's factor of a hundred.",
    .plots = {{.key = "cost",
               .title = "One thread, created and joined",
               .unit = "ns",
               .logarithmic = true}},
    .run = run};

}  // namespace treadle::lab
