// The slow parts of measuring: the length of a turn, and the memory of the process.
#include "measure.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

namespace treadle::bench {

std::uint64_t turns_lasting(double nanoseconds) {
  // The best of 20 bursts: an interrupt can only lengthen a burst. 200,000 turns are about 0.2 ms,
  // long against reading the clock (guess).
  constexpr int bursts = 20;
  constexpr std::uint64_t turns = 200'000;
  double best = 1e9;
  for (int burst = 0; burst < bursts; ++burst) {
    const double start = read_clock(CLOCK_MONOTONIC);
    spend(turns);
    best = std::min(best, read_clock(CLOCK_MONOTONIC) - start);
  }
  return static_cast<std::uint64_t>(nanoseconds * 1e-9 * static_cast<double>(turns) / best + 0.5);
}

double resident_bytes() {
  std::ifstream status("/proc/self/status");
  double kibibytes = 0;
  int found = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:") || line.starts_with("VmPTE:")) {
      kibibytes += std::stod(line.substr(std::strlen("VmRSS:")));
      ++found;
    }
  }
  if (found != 2) throw std::runtime_error("/proc/self/status shows no VmRSS and VmPTE");
  return kibibytes * 1024;
}

}  // namespace treadle::bench
