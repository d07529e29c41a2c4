// How much of the CPUs other programs took while something was measured.
//
// Work of several CPUs is timed by the wall, and then the others' work counts too. A verdict of
// "differs" that others have caused would be a lie about the model, so the lab looks at the
// kernel's account of all CPUs and says instead that the row cannot be judged now.
#pragma once

#include "treadle/lab/row.hpp"

namespace treadle::lab {

class interference {
 public:
  interference();  // starts to watch

  // The others' part of the CPUs that this process may use, 0 to 1; 0 when it is not known. The
  // kernel counts in steps of 10 ms, so short times say little.
  double share() const;

 private:
  struct account {
    double busy = 0;  // of all our CPUs, whoever used them
    double own = 0;   // of this process and its ended children
    double wall = 0;
  };
  static account read();

  account start_;
};

// A row that differs while others took more than a tenth becomes one that was not run, with both
// numbers in its reason; any other row stays as it is.
row unless_disturbed(row made, double others_share);

}  // namespace treadle::lab
