#include "treadle/parallel.hpp"

#include <stdexcept>
#include <string>

#include "treadle/runtime.hpp"

namespace treadle::detail {

loop_crew::loop_crew(std::ptrdiff_t grain) noexcept
    : width_(runtime::current().width()), grain_(grain) {}

void fail_loop(const char* call, const char* text) {
  throw std::invalid_argument(std::string("treadle: ") + call + ": " + text);
}

}  // namespace treadle::detail
