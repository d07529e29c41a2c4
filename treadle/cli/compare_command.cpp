// Checking the arguments, running, writing the files.
#include "treadle/cli/compare_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "treadle/cli/compare.hpp"
#include "treadle/cli/compare_report.hpp"
#include "treadle/cli/compare_text.hpp"
#include "treadle/cli/complaint.hpp"
#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/model_list.hpp"
#include "treadle/cli/output_file.hpp"
#include "treadle/cli/progress_line.hpp"
#include "treadle/cli/standard_streams.hpp"
#include "treadle/lab/descriptor.hpp"
#include "treadle/lab/machine.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {
namespace {

// Guess: more runs tell nothing new, and a day is the longest that anybody waits.
constexpr unsigned runs_max = 1000;
constexpr unsigned seconds_max = 86'400;

unsigned number(const char* option, const std::string& text, unsigned most, const char* unit) {
  unsigned value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || at != end || value < 1 || value > most) {
    throw std::invalid_argument(
        complaint(option, text, fmt::format("{} from 1 to {}", unit, most)));
  }
  return value;
}

struct checked_arguments {
  compare_plan plan;
  std::optional<output_file> json;
  std::optional<output_file> report;
};

void check(const compare_arguments& arguments, checked_arguments& into) {
  compare_plan& plan = into.plan;
  plan.runs = number("--runs", arguments.runs, runs_max, "numbers");
  plan.limit = std::chrono::seconds(number("--timeout", arguments.timeout, seconds_max, "seconds"));
  plan.models = chosen_models(arguments.models);
  runtime_options options;
  if (!arguments.workers.empty()) {
    options.width = parse_width(arguments.workers_option, arguments.workers);
  }
  static_cast<void>(resolve(options));  // throws for a bad TREADLE_* variable that is used
  options.model = model::many_to_many;
  static_cast<void>(resolve(options));  // m:n looks at more of them
  plan.workers = arguments.workers;
  if (arguments.program.empty()) {
    throw std::invalid_argument(
        "no program was named, allowed is: treadle compare [options] -- program [arguments]");
  }
  plan.program = arguments.program;
  if (!arguments.input_file.empty()) {
    plan.input_file = arguments.input_file;
    const lab::descriptor readable(::open(plan.input_file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat about {};
    if (readable.get() >= 0 && ::fstat(readable.get(), &about) == 0 && S_ISDIR(about.st_mode)) {
      throw std::invalid_argument(complaint("--stdin", plan.input_file, "files, not folders"));
    }
    if (readable.get() < 0) {
      throw std::invalid_argument(
          complaint("--stdin", plan.input_file,
                    fmt::format("files that can be read ({})", std::strerror(errno))));
    }
  }
  if (!arguments.json_file.empty()) into.json.emplace("--json", arguments.json_file);
  if (!arguments.report_file.empty()) into.report.emplace("--report", arguments.report_file);
  refuse_one_file_for_two(into.json, into.report);
}

// On a terminal one line that changes; else a line for each run that has ended.
class run_progress {
 public:
  void show(const std::string& text) {
    if (is_terminal_) return line_.show(text);
    if (text.find(": ") != text.npos) say(text + "\n");
  }
  void clear() { line_.clear(); }

 private:
  bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  progress_line line_;
};

void run(const compare_arguments& arguments, checked_arguments& checked) {
  const lab::machine_facts machine = lab::read_machine();
  if (const std::string warning = lab::busy_warning(machine); !warning.empty()) {
    print(fmt::format("note: {}\n\n", warning));
  }
  run_progress progress;
  const comparison all =
      compare(checked.plan, [&](const std::string& text) { progress.show(text); });
  progress.clear();
  print(comparison_text(all));
  if (checked.json) {
    checked.json->write(json_text(comparison_json(checked.plan, all, machine)));
  }
  if (checked.report) {
    checked.report->write(comparison_page(checked.plan, all, machine));
    print(fmt::format("report: {}\n", arguments.report_file));
  }
}

// As if nobody had caught it, so that a shell knows.
int end_by(int signal) {
  ::signal(signal, SIG_DFL);
  ::raise(signal);
  return exit_failed;  // it is blocked
}

}  // namespace

int compare_command(const compare_arguments& arguments) {
  checked_arguments checked;
  try {
    check(arguments, checked);
  } catch (const std::invalid_argument& error) {
    print_complaint("treadle compare", error.what());
    return exit_usage;
  }
  try {
    run(arguments, checked);
  } catch (const interrupted& by) {
    return end_by(by.signal);
  } catch (const not_startable& program) {
    print_complaint("treadle compare", program.why);
    return program.exit_status;
  } catch (const std::exception& error) {
    print_complaint("treadle compare", error.what());
    return exit_failed;
  }
  return exit_good;
}

}  // namespace treadle::cli
