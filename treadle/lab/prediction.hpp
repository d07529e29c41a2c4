// A prediction, and the rule that turns it and a measurement into a verdict.
//
// A claim is either a formula (about a value, within a factor), a bound (at most, at least) or the
// text's own range (between). `factor` and `slack` are the tolerance; each experiment chooses them
// for its quantity, and docs/lab.md lists them. `basis` says where the value comes from, in words
// that end up in the row's `why`.
// Rejected: one tolerance for everything. A count can be exact, a throughput on a shared machine
// cannot.
#pragma once

#include <string>
#include <string_view>

#include "treadle/lab/row.hpp"
#include "treadle/lab/sample.hpp"

namespace treadle::lab {

enum class sense { about, at_most, at_least, between };

struct prediction {
  lab::sense sense = sense::about;
  double value = 0;   // what the row shows; for `between`, the geometric middle
  double lowest = 0;  // a measurement in [lowest, highest] holds
  double highest = 0;
  double factor = 1;
  double slack = 0;
  std::string basis;
};

prediction about(double value, double factor, std::string basis, double slack = 0);
prediction at_most(double value, double factor, std::string basis, double slack = 0);
prediction at_least(double value, double factor, std::string basis, double slack = 0);
prediction between(double lowest, double highest, std::string basis);

bool accepts(const prediction& predicted, double measured);

// Where a row stands: model, what it is about, the unit of both numbers, and its place in a plot.
struct subject {
  std::string_view model;
  std::string quantity;
  std::string unit;
  std::string plot = {};
  std::string label = {};
};

// `note` is added to the row's `why`.
row judge(const subject& of, const prediction& predicted, const sample& measured,
          std::string_view note = {});

row not_run(const subject& of, std::string_view why);

// The prediction stands although nothing was measured.
row not_run(const subject& of, const prediction& predicted, std::string_view why);

}  // namespace treadle::lab
