// What interleave.hpp says about a search, and about a faulty schedule. Only the other parts of
// interleave.hpp include it.
#pragma once

#include <sstream>

#include "tests/support/interleave_state.hpp"

namespace treadle::interleave {
namespace detail {

inline std::string describe(const explorer& e) {
  std::ostringstream text;
  std::vector<const void*> objects;
  for (const step& s : e.steps) {
    std::size_t number = 0;
    while (number < objects.size() && objects[number] != s.what.object) {
      ++number;
    }
    if (number == objects.size()) {
      objects.push_back(s.what.object);
    }
    text << "  thread " << s.thread << ": " << s.what.what;
    if (s.what.object != nullptr) {
      text << " of word " << number << " -> " << s.value;
    }
    text << '\n';
  }
  for (unsigned i = 0; i < e.count; ++i) {
    if (!e.threads[i].finished) {
      text << "  thread " << i << " stands before: " << e.threads[i].next.what << '\n';
    }
  }
  return text.str();
}

}  // namespace detail

inline std::string verdict::report() const {
  std::ostringstream text;
  text << schedules << " schedules, " << pruned << " pruned, "
       << (complete ? "complete" : "not complete");
  if (!fault.empty()) {
    text << "\nfault: " << fault << '\n' << trace;
  }
  return text.str();
}

}  // namespace treadle::interleave
