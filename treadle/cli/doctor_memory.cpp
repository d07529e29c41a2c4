// What stacks can be had: guards, mappings, overcommit.
#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "treadle/base/system_call.hpp"
#include "treadle/cli/doctor_finding.hpp"
#include "treadle/lab/file_text.hpp"

namespace treadle::cli {
namespace {

// Sourced: MADV_GUARD_INSTALL in linux/mman.h of 6.13; older headers lack it.
constexpr int advice_guard_install = 102;
// Sourced: sysctl_max_map_count's default in the kernel.
constexpr std::uint64_t map_count_default = 65530;

std::uint64_t map_count() {
  return lab::file_number("/proc/sys/vm/max_map_count").value_or(map_count_default);
}

enum class guard_way { install, protect, none };

// On two pages of our own, so that nothing of the runtime's own state changes.
guard_way probe_guards(int& error) {
  const std::size_t bytes = 2 * base::page_bytes();
  const base::mapping_result pages = base::map_memory(nullptr, bytes, PROT_READ | PROT_WRITE,
                                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (pages.error != 0) {
    error = pages.error;
    return guard_way::none;
  }
  guard_way way = guard_way::install;
  error = base::advise_memory(pages.address, base::page_bytes(), advice_guard_install);
  if (error != 0) {
    const int refused = base::protect_memory(pages.address, base::page_bytes(), PROT_NONE);
    way = refused == 0 ? guard_way::protect : guard_way::none;
  }
  base::unmap_memory(pages.address, bytes);
  return way;
}

}  // namespace

finding find_guards() {
  finding made{.id = "guards", .group = "stacks"};
  int error = 0;
  const guard_way way = probe_guards(error);
  // Two mappings for each guarded stack: the stack and its guard.
  const std::uint64_t stacks = map_count() / 2;
  switch (way) {
    case guard_way::install:
      made.found = "MADV_GUARD_INSTALL works";
      made.uses = "guards that need no mapping: as many stacks as memory holds";
      break;
    case guard_way::protect:
      made.state = standing::reduced;
      made.found =
          fmt::format("MADV_GUARD_INSTALL is refused ({}), mprotect works", std::strerror(error));
      made.uses = fmt::format("guards by mprotect: about {} stacks", stacks);
      made.advice = "Linux 6.13 or later, or more mappings: sysctl -w vm.max_map_count=2000000";
      break;
    case guard_way::none:
      made.state = standing::absent;
      made.found = fmt::format("no page can be guarded ({})", std::strerror(error));
      made.uses = "no threads with guards can be made; TREADLE_GUARD=0 makes them without";
      made.advice = "let the process call mmap, madvise and mprotect";
      break;
  }
  made.facts = {
      {"guard_install", way == guard_way::install},
      {"mprotect", way != guard_way::none},
      {"stacks_max", way == guard_way::install ? nlohmann::json(nullptr) : nlohmann::json(stacks)}};
  return made;
}

finding find_map_count() {
  finding made{.id = "map-count", .group = "stacks"};
  const std::uint64_t count = map_count();
  int error = 0;
  const bool matters = probe_guards(error) != guard_way::install;
  made.found = fmt::format("vm.max_map_count = {}", count);
  made.uses = matters ? "half of it as stacks" : "a few mappings for a million stacks";
  made.facts = {{"max_map_count", count}};
  // Guess: a million stacks is what nobody asks more of.
  if (matters && count < 2'000'000) {
    made.state = standing::reduced;
    made.advice = "sysctl -w vm.max_map_count=2000000 allows a million stacks";
  }
  return made;
}

finding find_overcommit() {
  finding made{.id = "overcommit", .group = "stacks"};
  const std::uint64_t mode = lab::file_number("/proc/sys/vm/overcommit_memory").value_or(0);
  made.found = fmt::format("vm.overcommit_memory = {}", mode);
  made.facts = {{"overcommit_memory", mode}};
  if (mode == 2) {
    made.state = standing::reduced;
    made.uses = "stacks count in full against the commit limit, used or not";
    made.advice = "sysctl -w vm.overcommit_memory=0 lets stacks be reserved and filled when used";
  } else {
    made.uses = "stacks are reserved and take memory only when used";
  }
  return made;
}

}  // namespace treadle::cli
