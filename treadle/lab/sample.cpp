// The median of a few values.
#include "treadle/lab/sample.hpp"

#include <algorithm>
#include <stdexcept>

namespace treadle::lab {

sample summarise(std::vector<double> values) {
  if (values.empty()) throw std::invalid_argument("summarise: no values");
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back(), static_cast<unsigned>(values.size())};
}

}  // namespace treadle::lab
