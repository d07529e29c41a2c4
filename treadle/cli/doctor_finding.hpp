// What `treadle doctor` looks at: one finding for each thing of the machine that Treadle can make
// use of, with what it has found, what Treadle does with it, and what would allow more.
//
// Each probe is a small function of its own that leaves nothing behind: no setting of the process
// is changed, threads and descriptors that it makes are gone when it returns. Probes do not throw
// for what a machine refuses: that is what they are there to find.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace treadle::cli {

enum class standing {
  best,     // nothing to gain
  reduced,  // works, but more would be possible here
  absent,   // not to be had; Treadle does without
};

struct finding {
  std::string id{};     // stable: the key in the JSON, the name in the text
  std::string group{};  // the heading that it stands under
  standing state = standing::best;
  std::string found{};
  std::string uses{};
  std::string advice{};  // one line; empty exactly when `state` is best
  nlohmann::json facts = nlohmann::json::object();
};

// The settings in force; std::invalid_argument for a TREADLE_* variable that makes no sense.
finding find_settings();

finding find_kernel();
finding find_cpu();
finding find_width();

finding find_guards();
finding find_map_count();
finding find_overcommit();

finding find_solo_mode();
finding find_activation();
finding find_perf_ring();
finding find_task_file();
finding find_idle_class();

finding find_epoll();
finding find_io_uring();
finding find_descriptors();

finding find_clock();
finding find_system_call();

finding find_threads_max();
finding find_pid_max();
finding find_thread_room();

// All of them, in the order of the report.
std::vector<finding> examine();

}  // namespace treadle::cli
