#include "treadle/cli/compare.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "treadle/cli/execute.hpp"
#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/program_file.hpp"
#include "treadle/cli/run_command.hpp"
#include "treadle/lab/human.hpp"

namespace treadle::cli {
namespace {

// In the child. Without the settings that would choose a model; a program that brings Treadle then
// has its own.
int become_native(const compare_plan& plan) {
  for (const char* name : {"TREADLE_MODEL", "TREADLE_WIDTH"}) ::unsetenv(name);
  return execute(plan.program, "");
}

int become_treadles(const compare_plan& plan, treadle::model model) {
  run_arguments arguments;
  arguments.model = to_string(model);
  arguments.width = plan.workers;
  arguments.stats_file = stats_path();
  arguments.program = plan.program;
  return run_command(arguments);
}

std::string without_name(std::string text) {
  for (const std::string_view name : {"treadle run: ", "treadle: "}) {
    if (text.starts_with(name)) text.erase(0, name.size());
  }
  return text;
}

// The shim ends what it finds it cannot run with this status, after a line of its own.
bool was_refused_at_start(const watched_run& run) {
  return WIFEXITED(run.status) && WEXITSTATUS(run.status) == exit_usage &&
         run.last_words.starts_with("treadle: ");
}

class comparing {
 public:
  comparing(const compare_plan& plan, const on_progress& progress)
      : plan_(plan), progress_(progress) {
    const program_file file = look_at_program(plan.program.front());
    takes_shim_ = file.kind == program_kind::threads_of_libc;
    all_.native.name = "native";
    for (const treadle::model model : plan.models) {
      way_result& of = all_.models.emplace_back();
      of.name = to_string(model);
      of.is_native = model == model::one_to_one && file.kind != program_kind::brings_treadle;
    }
  }

  comparison run() {
    for (unsigned turn = 1; turn <= plan_.runs; ++turn) {
      run_natively(turn);
      for (std::size_t index = 0; index < plan_.models.size(); ++index) {
        if (all_.models[index].why_not.empty()) run_model(turn, index);
      }
    }
    sum_up(all_);
    return std::move(all_);
  }

 private:
  void announce(unsigned turn, const way_result& of, const char* what) {
    progress_(fmt::format("[{}/{}] {}{}", turn, plan_.runs, of.name, what));
  }
  void announce_end(unsigned turn, const way_result& of) {
    if (!of.why_not.empty()) return announce(turn, of, ": not run");
    announce(turn, of, fmt::format(": {}", lab::human(of.runs.back().wall_ns, "ns")).c_str());
  }

  run_request request() const {
    run_request made;
    made.input_file = plan_.input_file;
    made.limit = plan_.limit;
    return made;
  }

  void run_natively(unsigned turn) {
    announce(turn, all_.native, "");
    run_request asked = request();
    asked.become = [this] { return become_native(plan_); };
    const watched_run run = watch(asked);
    if (!run.why_not.empty()) throw not_startable{run.why_not, run.become_status};
    if (!run.in_time) {
      throw std::runtime_error(
          fmt::format("'{}' did not end natively within {} s, so that there is nothing to compare "
                      "with (--timeout)",
                      plan_.program.front(), plan_.limit.count()));
    }
    all_.native.runs.push_back(run);
    announce_end(turn, all_.native);
  }

  void run_model(unsigned turn, std::size_t index) {
    way_result& of = all_.models[index];
    const treadle::model model = plan_.models[index];
    announce(turn, of, "");
    run_request asked = request();
    asked.counts_calls = takes_shim_ && model != model::one_to_one;
    asked.become = [this, model] { return become_treadles(plan_, model); };
    const watched_run run = watch(asked);
    if (!run.why_not.empty()) {
      of.why_not = without_name(run.why_not);
    } else if (!run.in_time) {
      of.why_not = fmt::format("no end after {} s (--timeout)", plan_.limit.count());
    } else if (was_refused_at_start(run) && !was_refused_at_start(all_.native.runs.back())) {
      of.why_not = without_name(run.last_words);
    } else {
      of.runs.push_back(run);
    }
    announce_end(turn, of);
  }

  const compare_plan& plan_;
  const on_progress& progress_;
  bool takes_shim_ = false;
  comparison all_;
};

std::string ending_of(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return name != nullptr ? fmt::format("SIG{}", name)
                           : fmt::format("signal {}", WTERMSIG(status));
  }
  return fmt::format("status {}", WEXITSTATUS(status));
}

std::string endings(const std::vector<watched_run>& runs) {
  std::vector<std::string> all;
  for (const watched_run& each : runs) {
    const std::string one = ending_of(each.status);
    if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
  }
  return fmt::format("{}", fmt::join(all, " or "));
}

template <class Number>
lab::sample sample_of(const std::vector<watched_run>& runs, Number&& number) {
  std::vector<double> values;
  for (const watched_run& each : runs) values.push_back(number(each));
  return lab::summarise(std::move(values));
}

// Whether `part` of all runs is that of all native ones.
template <class Part>
sameness compare_part(const way_result& native, const way_result& of, Part&& part) {
  const auto& first = part(native.runs.front());
  const auto is_same = [&](const watched_run& run) { return part(run) == first; };
  if (!std::all_of(native.runs.begin(), native.runs.end(), is_same)) return sameness::varies;
  return std::all_of(of.runs.begin(), of.runs.end(), is_same) ? sameness::same : sameness::other;
}

void sum_up_one(const way_result& native, way_result& of) {
  if (!of.ran()) return;
  const std::vector<watched_run>& runs = of.runs;
  of.wall_ns = sample_of(runs, [](const watched_run& run) { return run.wall_ns; });
  of.user_ns = sample_of(runs, [](const watched_run& run) { return run.user_ns; });
  of.system_ns = sample_of(runs, [](const watched_run& run) { return run.system_ns; });
  of.cpu_ns = sample_of(runs, [](const watched_run& run) { return run.user_ns + run.system_ns; });
  of.memory_bytes = sample_of(runs, [](const watched_run& run) { return run.memory_bytes; });
  of.kernel_threads = sample_of(runs, [](const watched_run& run) { return run.kernel_threads; });
  of.voluntary = sample_of(runs, [](const watched_run& run) { return run.voluntary; });
  of.involuntary = sample_of(runs, [](const watched_run& run) { return run.involuntary; });
  const bool counted = std::all_of(runs.begin(), runs.end(),
                                   [](const watched_run& run) { return run.avoided.has_value(); });
  if (counted) of.avoided = sample_of(runs, [](const watched_run& run) { return *run.avoided; });
  of.ending = endings(runs);
  of.status = compare_part(native, of, [](const watched_run& run) { return run.status; });
  of.out = compare_part(native, of, [](const watched_run& run) { return run.out; });
  of.err = compare_part(native, of, [](const watched_run& run) { return run.err; });
}

}  // namespace

void sum_up(comparison& all) {
  sum_up_one(all.native, all.native);
  for (way_result& each : all.models) sum_up_one(all.native, each);
}

comparison compare(const compare_plan& plan, const on_progress& progress) {
  return comparing(plan, progress).run();
}

}  // namespace treadle::cli
