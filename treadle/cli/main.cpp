// The `treadle` command: reads the command line and hands over.
//
// Exit status: see exit_status.hpp. A wrong command line is one line on stderr and status 2.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <string>
#include <vector>

#include "treadle/cli/compare_command.hpp"
#include "treadle/cli/complaint.hpp"
#include "treadle/cli/doctor_command.hpp"
#include "treadle/cli/exit_status.hpp"
#include "treadle/cli/lab_command.hpp"
#include "treadle/cli/program_words.hpp"
#include "treadle/cli/run_command.hpp"
#include "treadle/cli/standard_streams.hpp"
#include "treadle/lab/child.hpp"
#include "treadle/lab/conductor.hpp"

namespace {

using namespace treadle;  // the command's own file, included by nobody

constexpr const char* empty_word = "is \"\", allowed is anything that is not empty";
constexpr const char* more = "treadle --help says more";

CLI::App* add_lab(CLI::App& app, cli::lab_arguments& arguments) {
  CLI::App* const lab =
      app.add_subcommand("lab", "measure what the three threading models cost and can do here");
  lab->add_flag("--list", arguments.list, "name the experiments and end");
  lab->add_option("--only", arguments.only, "these experiments only")
      ->delimiter(',')
      ->type_name("ID,...");
  lab->add_option("--model", arguments.models, "these models only: m:1, 1:1, m:n")
      ->delimiter(',')
      ->type_name("MODEL,...");
  lab->add_flag("--quick", arguments.quick, "shorter measurements: under a minute in all");
  lab->add_option("--json", arguments.json_file, "write the results as JSON")->type_name("FILE");
  lab->add_option("--report", arguments.report_file, "write a report with plots")
      ->type_name("FILE.html");
  return lab;
}

// Two words for one setting; a complaint is about the one that was used.
void add_width(CLI::App& to, std::string& width, std::string& option) {
  for (const char* word : {"--width", "--workers"}) {
    to.add_option_function<std::string>(
          word,
          [&width, &option, word](const std::string& text) {
            width = text;
            option = word;
          },
          "processors of m:n")
        ->type_name("N");
  }
}

// For the help: cut_program() takes these words before CLI11 sees them.
void add_program(CLI::App& to, std::vector<std::string>& program) {
  to.add_option("program", program, "the program and its arguments, after --")
      ->type_name("PROGRAM [ARGUMENTS]");
}

CLI::App* add_run(CLI::App& app, cli::run_arguments& arguments) {
  CLI::App* const run =
      app.add_subcommand("run", "start a program under a threading model of your choice");
  run->add_option("--model", arguments.model, "m:1, 1:1 or m:n")->type_name("MODEL");
  add_width(*run, arguments.width, arguments.width_option);
  run->add_option("--stack", arguments.stack, "stack of each thread, as 256K or 1M")
      ->type_name("SIZE");
  run->add_option("--guard", arguments.guard, "guard below each stack")->type_name("SIZE");
  run->add_option("--slice", arguments.slice,
                  "how long a thread may compute while others wait, as 10ms, or off")
      ->type_name("TIME");
  run->add_option("--stats", arguments.stats_file, "append what happened to a file, at the end")
      ->type_name("FILE");
  run->add_flag("--fallback", arguments.falls_back,
                "where Treadle cannot run the program: run it natively, with a warning");
  run->add_flag("--no-children", arguments.spares_children,
                "the program only; what it executes runs natively");
  run->add_flag("--pure", arguments.is_pure,
                "m:1 as in the textbook: a system call that blocks stops all threads");
  run->add_option("--watchdog", arguments.watchdog,
                  "with --pure: say when that lasts so long, 2 unless told, 0 for never")
      ->type_name("SECONDS");
  add_program(*run, arguments.program);
  return run;
}

CLI::App* add_compare(CLI::App& app, cli::compare_arguments& arguments) {
  CLI::App* const compare = app.add_subcommand(
      "compare", "run a program natively and under each threading model, beside each other");
  compare->add_option("--runs", arguments.runs, "how often each way, 5 unless told")
      ->type_name("N");
  compare->add_option("--model", arguments.models, "these models only: m:1, 1:1, m:n")
      ->delimiter(',')
      ->type_name("MODEL,...");
  add_width(*compare, arguments.workers, arguments.workers_option);
  compare
      ->add_option("--stdin", arguments.input_file, "what the program reads; nothing unless told")
      ->type_name("FILE");
  compare->add_option("--timeout", arguments.timeout, "for each run, 300 unless told")
      ->type_name("SECONDS");
  compare->add_option("--json", arguments.json_file, "write the results as JSON")
      ->type_name("FILE");
  compare->add_option("--report", arguments.report_file, "write a report with a chart")
      ->type_name("FILE.html");
  add_program(*compare, arguments.program);
  return compare;
}

CLI::App* add_doctor(CLI::App& app, cli::doctor_arguments& arguments) {
  CLI::App* const doctor = app.add_subcommand(
      "doctor", "look at what this machine allows, and what could be allowed to get more");
  doctor->add_option("--json", arguments.json_file, "write the findings as JSON")
      ->type_name("FILE");
  return doctor;
}

// No option means anything by an empty word; a shell's unset variable makes it one.
void refuse_empty_words(CLI::App& of) {
  for (CLI::Option* const each : of.get_options()) {
    if (each->get_name() == "program") continue;
    each->check([](const std::string& word) {
      return word.empty() ? std::string(empty_word) : std::string();
    });
  }
}

// CLI11 would take the next word for the value of "--model=".
std::string option_without_value(std::initializer_list<CLI::App*> commands,
                                 const std::vector<std::string>& words) {
  for (const CLI::App* each : commands) {
    if (words.empty() || each->get_name() != words.front()) continue;
    for (const std::string& word : words) {
      if (!word.starts_with("--") || !word.ends_with('=')) continue;
      const std::string option = word.substr(0, word.size() - 1);
      const CLI::Option* const found = each->get_option_no_throw(option);
      if (found != nullptr && found->get_items_expected_max() > 0) return option;
    }
  }
  return {};
}

// The program's words, when the command is one that starts a program; they are cut off `words`.
std::vector<std::string> cut_program_of(std::initializer_list<CLI::App*> starters,
                                        std::vector<std::string>& words) {
  for (const CLI::App* each : starters) {
    if (words.empty() || each->get_name() != words.front()) continue;
    return cli::cut_program(words, [each](const std::string& option) {
      const CLI::Option* const found = each->get_option_no_throw(option);
      return found != nullptr && found->get_items_expected_max() > 0;
    });
  }
  return {};
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Treadle: threads whose model is a launch option", "treadle");
  app.set_version_flag("--version", "treadle " TREADLE_VERSION);
  app.require_subcommand(1);
  cli::lab_arguments lab_arguments;
  cli::run_arguments run_arguments;
  cli::compare_arguments compare_arguments;
  cli::doctor_arguments doctor_arguments;
  std::string request;
  CLI::App* const lab = add_lab(app, lab_arguments);
  CLI::App* const run = add_run(app, run_arguments);
  CLI::App* const compare = add_compare(app, compare_arguments);
  CLI::App* const doctor = add_doctor(app, doctor_arguments);
  // The lab's own processes: of no use to people, so not in the help.
  CLI::App* const child = app.add_subcommand(std::string(lab::child_word), "")->group("");
  child->add_option("request", request)->required();
  for (CLI::App* const each : {lab, run, compare, doctor}) refuse_empty_words(*each);
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const std::vector<std::string> program = cut_program_of({run, compare}, words);
  run_arguments.program = compare_arguments.program = program;
  const std::string option = option_without_value({lab, run, compare, doctor}, words);
  if (!option.empty()) {
    cli::print_complaint("treadle", fmt::format("{} {} ({})", option, empty_word, more));
    return cli::exit_usage;
  }
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // as CLI11 wants it
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string message = error.what();
    if (argc > 1 && app.get_subcommands().empty()) {
      message = argv[1][0] != '-'
                    ? cli::complaint("the command", argv[1], "lab, run, compare and doctor")
                    : cli::complaint("the option", argv[1],
                                     "--help, --version, or a command's behind its name");
    }
    cli::print_complaint("treadle", fmt::format("{} ({})", message, more));
    return cli::exit_usage;
  }
  if (child->parsed()) return lab::serve_request(request);
  if (run->parsed()) return cli::run_command(run_arguments);
  if (compare->parsed()) return cli::compare_command(compare_arguments);
  if (doctor->parsed()) return cli::doctor_command(doctor_arguments);
  static_cast<void>(lab);
  return cli::lab_command(lab_arguments);
}

}  // namespace

int main(int argc, char** argv) {
  cli::fill_closed_streams();
  try {
    return cli::end_output(parse_and_run(argc, argv));
  } catch (const std::exception& error) {
    // A command says itself what else can go wrong: this is its output's trouble.
    cli::print_complaint("treadle", std::string("standard output: ") + error.what());
    return cli::exit_failed;
  }
}
