// The peer "boost.context": jump_fcontext() and nothing else. It is the unit f.
#include <boost/version.hpp>

#include "../../peer_raw.hpp"
#include "program.hpp"

namespace treadle::bench {
namespace {

void measure(const order& asked) {
  if (asked.workload != "switch") throw no_such_workload{};
  report(asked, [&] { return switch_by_fcontext(asked.count); });
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  return treadle::bench::run_program(argc, argv, "Boost " BOOST_LIB_VERSION,
                                     treadle::bench::measure);
}
