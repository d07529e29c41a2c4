// The child's side of child.hpp: pin, pick the peer, warm up, repeat, print.
#include "child.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "measure_peer.hpp"
#include "peer_raw.hpp"

namespace treadle::bench {
namespace {

/// The last allowed CPUs: the first one serves most interrupts on a stock kernel.
void pin(unsigned workers) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  unsigned taken = 0;
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && taken < workers; --cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_SET(cpu, &chosen);
    ++taken;
  }
  if (taken < workers) throw std::runtime_error("fewer CPUs are allowed than workers asked for");
  if (sched_setaffinity(0, sizeof chosen, &chosen) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
  }
}

/// Sets the sticky "inexact" flag of the vector unit before any context is made, so that all
/// contexts inherit it. Boost's switch loads MXCSR, and where a division has set that flag in one
/// of two contexts only, Sapphire Rapids takes 90 ns for a switch instead of 5 (measured: workload
/// switch without this call). Peers and the unit f must not lose by our own arithmetic.
void level_floating_point_flags() {
  const volatile double one = 1;
  const volatile double three = 3;
  const volatile double inexact = one / three;
  static_cast<void>(inexact);
}

[[noreturn]] void measure_raw(const child_order& order) {
  const long less = order.quick ? quick_divisor : 1;
  report(repeat(order.repetitions, true, [&] {
    if (order.peer == "fcontext") return switch_by_fcontext(switch_turns / less);
    if (order.peer == "cas-pair") return compare_and_swap_pairs(lock_pairs / less);
    return switch_by_treadle(switch_turns / less);
  }));
}

}  // namespace

void report(const std::vector<repetition>& repetitions) {
  auto lines = nlohmann::json::array();
  for (const repetition& one : repetitions) {
    lines.push_back({{"operations", one.operations},
                     {"cpu", one.cpu_seconds},
                     {"wall", one.wall_seconds},
                     {"bytes", one.bytes},
                     {"median_late", one.median_late},
                     {"worst_late", one.worst_late},
                     {"serial_seconds", one.serial_seconds},
                     {"longest_wait", one.longest_wait}});
  }
  const std::string text =
      lines.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  _exit(0);
}

void be_child(const child_order& order) {
  try {
    level_floating_point_flags();
    pin(order.workers);
    const std::string& peer = order.peer;
    if (peer == "fcontext" || peer == "cas-pair" || order.workload == "switch") measure_raw(order);
    if (peer == "treadle" || peer == "one-receive") {
      measure_treadle(order, treadle_model::many_to_many);
    }
    if (peer == "treadle-m:1") measure_treadle(order, treadle_model::many_to_one);
    if (peer == "nptl") measure_nptl(order);
    if (peer == "boost.fiber") measure_boost_fiber(order);
    std::fputs(fmt::format("no peer is called {}\n", peer).c_str(), stderr);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("{}\n", error.what()).c_str(), stderr);
  }
  std::fflush(stderr);
  _exit(1);
}

}  // namespace treadle::bench
