// The machine that the numbers belong to, for the reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

struct machine_facts {
  std::string cpu;
  unsigned cores = 0;  // online
  std::string kernel;
  double memory_bytes = 0;
  std::string glibc;
  std::string compiler;
  std::string version;   // of Treadle
  std::string date;      // UTC, ISO 8601
  double busy = 0;       // part of our CPUs that other programs took just before the run
  std::string settings;  // TREADLE_* variables in force; usually none
};

// "TREADLE_MODEL=m:1 TREADLE_STACK=64K", as the environment has them.
std::string settings_in_force();

// Takes a quarter of a second, to see how busy the machine is.
machine_facts read_machine();

// A sentence when other programs keep the machine so busy that figures will be off; else empty.
std::string busy_warning(const machine_facts& of);

// With the base quantities of the run; a quantity that could not be measured is null.
nlohmann::json machine_json(const machine_facts& of, const quantities& known);

}  // namespace treadle::lab
