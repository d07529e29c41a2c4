// Checking the settings with the library's own parsers, then exec.
#include "treadle/cli/run_command.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "treadle/cli/complaint.hpp"
#include "treadle/cli/execute.hpp"
#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/output_file.hpp"
#include "treadle/cli/program_file.hpp"
#include "treadle/cli/shim_library.hpp"
#include "treadle/runtime.hpp"

namespace treadle::cli {
namespace {

void set(const char* name, const std::string& value) {
  if (value.empty()) return;
  if (::setenv(name, value.c_str(), 1) != 0) {
    throw std::system_error(errno, std::generic_category(), name);
  }
}

// The library names its own variables; here the option's name is what the user knows.
void check_size(const char* option, const std::string& text, std::size_t least, std::size_t most) {
  if (text.empty()) return;
  const std::size_t bytes = parse_bytes(option, text);
  if (bytes >= least && bytes <= most) return;
  throw std::invalid_argument(complaint(option, text, fmt::format("{} to {} bytes", least, most)));
}

// The model that the program will run under. Throws std::invalid_argument for the first setting
// that is wrong.
model check(const run_arguments& arguments) {
  runtime_options options;
  if (!arguments.model.empty()) {
    try {
      options.model = parse_model(arguments.model);
    } catch (const std::invalid_argument&) {
      throw std::invalid_argument(complaint("--model", arguments.model, "m:1, 1:1 and m:n"));
    }
  }
  if (!arguments.width.empty())
    options.width = parse_width(arguments.width_option, arguments.width);
  check_size("--stack", arguments.stack, stack_bytes_min, stack_bytes_max);
  check_size("--guard", arguments.guard, 0, guard_bytes_max);
  if (!arguments.stack.empty()) options.stack_bytes = parse_bytes("--stack", arguments.stack);
  if (!arguments.guard.empty()) options.guard_bytes = parse_bytes("--guard", arguments.guard);
  if (!arguments.slice.empty()) options.slice = parse_slice("--slice", arguments.slice);
  const runtime_settings settings = resolve(options);  // what the environment has besides
  if (arguments.program.empty()) {
    throw std::invalid_argument(
        "no program was named, allowed is: treadle run [options] -- program [arguments]");
  }
  return settings.model;
}

// What the shim gets for --pure and --watchdog: milliseconds, or nothing.
std::string pure_setting(const run_arguments& arguments, model chosen) {
  if (!arguments.is_pure) {
    if (arguments.watchdog.empty()) return {};
    throw std::invalid_argument("--watchdog is given without --pure, allowed is: both together");
  }
  if (chosen != model::many_to_one) {
    throw std::invalid_argument(complaint("the model of --pure", to_string(chosen), "m:1"));
  }
  if (arguments.watchdog.empty()) return "2000";
  constexpr double most = 86'400;
  double seconds = -1;
  const char* const end = arguments.watchdog.data() + arguments.watchdog.size();
  const auto found = std::from_chars(arguments.watchdog.data(), end, seconds);
  if (found.ec != std::errc() || found.ptr != end || !(seconds >= 0) || seconds > most) {
    throw std::invalid_argument(
        complaint("--watchdog", arguments.watchdog, fmt::format("0 to {} seconds", most)));
  }
  return fmt::format("{:.0f}", std::ceil(seconds * 1000));
}

// What the shim gets for --slice under m:1: milliseconds, or nothing. In m:n the runtime has its
// own setting.
std::string turns_setting(const run_arguments& arguments, model chosen) {
  if (arguments.slice.empty() || chosen != model::many_to_one) return {};
  const std::chrono::nanoseconds slice = parse_slice("--slice", arguments.slice);
  if (slice.count() == 0) return {};
  if (arguments.is_pure) {
    throw std::invalid_argument(complaint("--slice of --pure", arguments.slice, "off"));
  }
  return std::to_string(std::chrono::ceil<std::chrono::milliseconds>(slice).count());
}

// Puts the shim in front of the program. False, after one line, when that cannot be and nothing is
// to be run instead.
bool prepare_shim(const run_arguments& arguments, model chosen) {
  const std::string pure = pure_setting(arguments, chosen);
  const std::string turns = turns_setting(arguments, chosen);
  const program_file program = look_at_program(arguments.program.front());
  const auto refuse = [&](const std::string& why) {
    const char* what = arguments.falls_back ? "; it runs without Treadle" : "";
    print_complaint("treadle run", why + what);
    return arguments.falls_back;
  };
  if (program.kind == program_kind::unreadable) return true;  // exec says why
  if (program.kind == program_kind::brings_treadle || chosen == model::one_to_one) {
    const char* option = nullptr;
    if (!arguments.stats_file.empty()) option = "--stats";
    if (!turns.empty()) option = "--slice of m:1";
    if (arguments.is_pure) option = "--pure";
    if (option == nullptr) return true;
    return refuse(fmt::format(
        "{} needs the shim, which '{}' runs without ({})", option, arguments.program.front(),
        program.kind == program_kind::brings_treadle ? "it is built with Treadle"
                                                     : "under 1:1 its threads are libc's own"));
  }
  if (program.kind == program_kind::not_for_shim) {
    return refuse(fmt::format("'{}' {}", program.path, program.why));
  }
  std::string library;
  try {
    library = find_shim();
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
  preload(library);
  set("TREADLE_PURE", pure);
  set("TREADLE_TURNS", turns);
  if (arguments.falls_back) set("TREADLE_FALLBACK", "on");
  if (arguments.spares_children) set("TREADLE_CHILDREN", "off");
  if (!arguments.stats_file.empty()) {
    const output_file writable("--stats", arguments.stats_file);
    set("TREADLE_STATS", std::filesystem::absolute(arguments.stats_file));
  }
  return true;
}

}  // namespace

int run_command(const run_arguments& arguments) {
  try {
    const model chosen = check(arguments);
    if (!prepare_shim(arguments, chosen)) return exit_usage;
    set("TREADLE_MODEL", arguments.model);
    set("TREADLE_WIDTH", arguments.width);
    set("TREADLE_STACK", arguments.stack);
    set("TREADLE_GUARD", arguments.guard);
    set("TREADLE_SLICE", arguments.slice);
  } catch (const std::exception& error) {
    print_complaint("treadle run", error.what());
    return exit_usage;
  }
  return execute(arguments.program, "treadle run: ");
}

}  // namespace treadle::cli
