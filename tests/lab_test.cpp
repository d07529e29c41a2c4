// The treadle command as a user meets it: what it accepts and refuses, its exit codes, and the
// shape of what it writes. No test here looks at a figure that it measured.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/child_process.hpp"

namespace treadle {
namespace {

using testing_support::command;
using testing_support::count_lines_with;
using testing_support::outcome;
using testing_support::run;
using words = std::vector<std::string>;

// The helper looks in the directory of the test programs; the command lies two above it.
constexpr const char* treadle_command = "../../bin/treadle";

constexpr std::array experiment_ids{
    "switch-cost",    "create-cost",        "contended-lock", "futex",           "rcu",
    "spin-and-block", "kernel-memory",      "address-space",  "million",         "parallelism",
    "blocking-call",  "page-fault",         "async-cure",     "syscall-handoff", "activations",
    "preemption",     "priority-inversion", "signal-mask",    "signal-delivery", "fork",
    "servers",        "work-stealing",      "thread-pool",    "async-await",     "thread-local"};

outcome treadle(words arguments, std::vector<std::pair<std::string, std::string>> environment = {},
                std::function<void()> before_exec = {}) {
  return run(
      {treadle_command, std::move(arguments), std::move(environment), std::move(before_exec)});
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> keys_of(const nlohmann::json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

class lab_command : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"rows.json", "report.html"}) std::remove(path(name).c_str());
  }
  std::string path(const char* name) const { return ::testing::TempDir() + "treadle-lab-" + name; }

  // Runs a quick lab with a JSON file and gives its content; null when the command failed.
  nlohmann::json json_of(words arguments, std::function<void()> before_exec = {}) {
    const std::string file = path("rows.json");
    arguments.insert(arguments.begin(), {"lab", "--quick", "--json", file});
    last_ = treadle(std::move(arguments), {}, std::move(before_exec));
    EXPECT_TRUE(last_.exited_with(0)) << last_.describe();
    return nlohmann::json::parse(text_of(file), nullptr, false);
  }

  outcome last_;
};

void expect_row(const nlohmann::json& row) {
  const std::set<std::string> fields{"model",    "quantity", "unit", "predicted",
                                     "measured", "verdict",  "why"};
  EXPECT_EQ(keys_of(row), fields);
  const std::set<std::string> models{"m:1", "1:1", "m:n"};
  EXPECT_TRUE(models.contains(row.at("model").get<std::string>())) << row;
  EXPECT_FALSE(row.at("quantity").get<std::string>().empty()) << row;
  EXPECT_TRUE(row.at("unit").is_string()) << row;
  EXPECT_TRUE(row.at("predicted").is_number() || row.at("predicted").is_null()) << row;
  EXPECT_FALSE(row.at("why").get<std::string>().empty()) << row;
  const std::string verdict = row.at("verdict").get<std::string>();
  if (verdict == "not run") {
    EXPECT_TRUE(row.at("measured").is_null()) << row;
  } else {
    EXPECT_TRUE(verdict == "holds" || verdict == "differs") << row;
    EXPECT_TRUE(row.at("measured").is_number()) << row;
    EXPECT_TRUE(row.at("predicted").is_number()) << row;
  }
}

void expect_all_not_run(const nlohmann::json& report) {
  std::size_t rows = 0;
  for (const nlohmann::json& each : report.at("experiments")) {
    for (const nlohmann::json& row : each.at("rows")) {
      EXPECT_EQ(row.at("verdict"), "not run") << row;
      EXPECT_FALSE(row.at("why").get<std::string>().empty()) << row;
      ++rows;
    }
  }
  EXPECT_GT(rows, 0u);
}

// ---- what it writes ----

TEST_F(lab_command, list_names_every_experiment) {
  const outcome result = treadle({"lab", "--list"});
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
  for (const char* id : experiment_ids) EXPECT_EQ(count_lines_with(result.out, id), 1u) << id;
}

TEST_F(lab_command, json_has_the_documented_shape) {
  const nlohmann::json report = json_of({"--only", "switch-cost,thread-local"});
  EXPECT_EQ(keys_of(report), (std::set<std::string>{"machine", "experiments"}));
  const nlohmann::json& machine = report.at("machine");
  for (const char* key : {"cpu", "cores", "width", "kernel", "memory_bytes", "glibc", "compiler",
                          "treadle", "date", "c_u_ns", "c_k_ns", "k_b_bytes"}) {
    EXPECT_TRUE(machine.contains(key)) << key;
  }
  EXPECT_EQ(machine.at("treadle"), TREADLE_VERSION);
  ASSERT_EQ(report.at("experiments").size(), 2u);
  for (const nlohmann::json& each : report.at("experiments")) {
    EXPECT_EQ(keys_of(each), (std::set<std::string>{"id", "title", "claim", "rows"}));
    std::set<std::string> models;
    for (const nlohmann::json& row : each.at("rows")) {
      expect_row(row);
      models.insert(row.at("model").get<std::string>());
    }
    EXPECT_EQ(models.size(), 3u) << each.at("id");
  }
}

// What POSIX promises is no matter of speed: it holds under each model, where it can be run.
TEST_F(lab_command, signals_and_fork_are_the_same_in_every_model) {
  const nlohmann::json report = json_of({"--only", "signal-mask,signal-delivery,fork"});
  ASSERT_EQ(report.at("experiments").size(), 3u);
  for (const nlohmann::json& each : report.at("experiments")) {
    for (const nlohmann::json& row : each.at("rows")) {
      expect_row(row);
      if (row.at("unit") == "ns") continue;
      const bool needs_shim = row.at("model") != "1:1";
#if defined(TREADLE_SANITIZED)
      if (needs_shim) continue;
#endif
      const std::string why = row.at("why").get<std::string>();
      if (needs_shim && row.at("verdict") == "not run" && why.find("treadle run") != why.npos) {
        continue;  // this machine has none: the row has the reason
      }
      EXPECT_EQ(row.at("verdict"), "holds") << row;
    }
  }
}

TEST_F(lab_command, writes_no_progress_into_a_pipe) {
  (void)json_of({"--only", "thread-local", "--model", "m:1"});
  EXPECT_EQ(last_.err, "");
  EXPECT_EQ(last_.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(last_.out.find('\r'), std::string::npos);
  EXPECT_EQ(count_lines_with(last_.out, "summary:"), 1u) << last_.out;
}

TEST_F(lab_command, shows_progress_on_a_terminal) {
  int terminal = -1;
  int user_side = -1;
  if (::openpty(&terminal, &user_side, nullptr, nullptr, nullptr) != 0) GTEST_SKIP() << "no pty";
  // What is shown fits the terminal's buffer, so nobody has to read meanwhile.
  const outcome result = treadle({"lab", "--quick", "--only", "thread-local", "--model", "m:1"}, {},
                                 [=] { ::dup2(user_side, STDERR_FILENO); });
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
  ::fcntl(terminal, F_SETFL, O_NONBLOCK);
  std::array<char, 4096> bytes;
  const ssize_t count = ::read(terminal, bytes.data(), bytes.size());
  ::close(terminal);
  ::close(user_side);
  ASSERT_GT(count, 0);
  const std::string shown(bytes.data(), static_cast<std::size_t>(count));
  EXPECT_NE(shown.find("[2/2] thread-local m:1"), std::string::npos) << shown;
}

TEST_F(lab_command, models_and_experiments_can_be_chosen) {
  const nlohmann::json report =
      json_of({"--model", "m:n,m:1", "--only", "thread-local", "--only", "thread-local"});
  ASSERT_EQ(report.at("experiments").size(), 1u);
  EXPECT_EQ(report.at("experiments").at(0).at("id"), "thread-local");
  for (const nlohmann::json& row : report.at("experiments").at(0).at("rows")) {
    EXPECT_NE(row.at("model"), "1:1");
  }
}

TEST_F(lab_command, report_is_one_page_that_asks_for_nothing) {
  const std::string file = path("report.html");
  const outcome result = treadle({"lab", "--quick", "--only", "thread-local", "--report", file});
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
  const std::string page = text_of(file);
  EXPECT_EQ(page.rfind("<!DOCTYPE html>", 0), 0u);
  EXPECT_NE(page.find("</html>"), std::string::npos);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(page.find(" src="), std::string::npos);
  EXPECT_EQ(page.find("<link"), std::string::npos);
}

// ---- machines that cannot ----

TEST_F(lab_command, closed_streams_put_nothing_into_its_files) {
  const nlohmann::json report = json_of({"--only", "thread-local"}, [] {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(stream);
  });
  EXPECT_EQ(keys_of(report), (std::set<std::string>{"machine", "experiments"}));
}

TEST_F(lab_command, one_processor_is_no_failure) {
  const nlohmann::json report = json_of({"--only", "parallelism", "--model", "1:1,m:n"}, [] {
    cpu_set_t all;
    ::sched_getaffinity(0, sizeof all, &all);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &all)) continue;
      CPU_ZERO(&all);
      CPU_SET(cpu, &all);
      break;
    }
    ::sched_setaffinity(0, sizeof all, &all);
  });
  expect_all_not_run(report);
  EXPECT_NE(report.dump().find("one processor"), std::string::npos) << report.dump(2);
}

#if !defined(TREADLE_SANITIZED)  // sanitizers reserve terabytes, and are slow

TEST_F(lab_command, a_small_memory_limit_is_no_failure) {
  const nlohmann::json report = json_of({"--only", "million,address-space"}, [] {
    const rlimit limit{rlim_t{1} << 30, rlim_t{1} << 30};
    ::setrlimit(RLIMIT_AS, &limit);
  });
  for (const nlohmann::json& each : report.at("experiments")) {
    for (const nlohmann::json& row : each.at("rows")) expect_row(row);
  }
  EXPECT_NE(report.dump().find("not run"), std::string::npos);
}

TEST_F(lab_command, an_experiment_that_dies_costs_only_its_rows) {
  // SIGXCPU after one second; a million threads need more, or the memory is not there.
  const nlohmann::json report = json_of({"--only", "million", "--model", "m:1"}, [] {
    const rlimit limit{1, 1};
    ::setrlimit(RLIMIT_CPU, &limit);
  });
  expect_all_not_run(report);
}

// Of output that is not buffered, by coreutils' stdbuf: else it fails later, and harms nobody.
TEST_F(lab_command, files_are_written_though_nothing_can_be_printed) {
  const std::string unbuffered = "/usr/libexec/coreutils/libstdbuf.so";
  if (::access(unbuffered.c_str(), R_OK) != 0) GTEST_SKIP() << "no " << unbuffered;
  const std::string rows = path("rows.json");
  const std::string page = path("report.html");
  for (const words& arguments :
       {words{"lab", "--quick", "--only", "thread-local", "--json", rows, "--report", page},
        words{"doctor", "--json", rows}}) {
    const outcome result = treadle(arguments, {{"LD_PRELOAD", unbuffered}, {"_STDBUF_O", "0"}},
                                   [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); });
    EXPECT_TRUE(result.exited_with(1)) << result.describe();
    EXPECT_EQ(count_lines_with(result.err, ""), 1U) << result.err;
    EXPECT_TRUE(nlohmann::json::parse(text_of(rows), nullptr, false).is_object());
    std::remove(rows.c_str());
  }
  EXPECT_NE(text_of(page).find("</html>"), std::string::npos);
}

#endif

// ---- what it refuses ----

struct refusal {
  const char* name;
  words arguments;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> said;  // parts of the one line on stderr
};

class refused : public ::testing::TestWithParam<refusal> {};

TEST_P(refused, with_one_clear_line_and_exit_code_2) {
  const refusal& what = GetParam();
  const outcome result = treadle(what.arguments, what.environment);
  EXPECT_TRUE(result.exited_with(2)) << result.describe();
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(count_lines_with(result.err, ""), 1u) << result.err;
  for (const std::string& part : what.said) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\n" << result.err;
  }
}

const refusal refusals[] = {
    {"nothing", {}, {}, {"--help"}},
    {"unknown_word", {"frobnicate"}, {}, {"frobnicate", "lab", "run", "compare"}},
    {"unknown_option", {"lab", "--frobnicate"}, {}, {"--frobnicate"}},
    {"unknown_option_first", {"--frobnicate"}, {}, {"--frobnicate", "--version"}},
    {"empty_file_name", {"doctor", "--json", ""}, {}, {"--json", "not empty"}},
    {"empty_model", {"run", "--model", "", "--", "true"}, {}, {"--model", "not empty"}},
    {"empty_width", {"run", "--width", "", "--", "true"}, {}, {"--width", "not empty"}},
    {"lab_no_model",
     {"lab", "--only", "futex", "--model=", "--list"},
     {},
     {"--model", "not empty"}},
    {"lab_no_report", {"lab", "--report=", "a", "--list"}, {}, {"--report", "not empty"}},
    {"doctor_no_json", {"doctor", "--json=", "a"}, {}, {"--json", "not empty"}},
    {"compare_no_runs", {"compare", "--runs=", "--", "true"}, {}, {"--runs", "not empty"}},
    {"run_no_width", {"run", "--width=", "--", "true"}, {}, {"--width", "not empty"}},
    {"one_file_for_two",
     {"lab", "--json", "/dev/shm/treadle-one", "--report", "/dev/shm/../shm/treadle-one"},
     {},
     {"--report", "/dev/shm/../shm/treadle-one", "--json"}},
    {"compare_a_folder", {"compare", "--stdin", "/", "--", "true"}, {}, {"--stdin", "/", "files"}},
    {"compare_model_variable",
     {"compare", "--", "true"},
     {{"TREADLE_MODEL", "banana"}},
     {"TREADLE_MODEL", "banana", "m:n"}},
    {"unknown_experiment", {"lab", "--only", "nope"}, {}, {"--only", "nope", "switch-cost"}},
    {"one_unknown_of_two", {"lab", "--only", "futex,nope"}, {}, {"--only", "nope"}},
    {"unknown_model", {"lab", "--model", "m:2"}, {}, {"--model", "m:2", "m:n"}},
    {"unwritable_json", {"lab", "--json", "/nonexistent/a"}, {}, {"--json", "/nonexistent/a"}},
    {"unwritable_report", {"lab", "--report", "/nonexistent/a"}, {}, {"--report", "/nonexistent"}},
    {"model_variable", {"lab"}, {{"TREADLE_MODEL", "banana"}}, {"TREADLE_MODEL", "banana", "m:n"}},
    {"width_variable", {"lab"}, {{"TREADLE_WIDTH", "0"}}, {"TREADLE_WIDTH", "0", "from 1"}},
    {"stack_variable", {"lab"}, {{"TREADLE_STACK", "1K"}}, {"TREADLE_STACK", "1K", "16"}},
    {"guard_variable", {"lab"}, {{"TREADLE_GUARD", "wide"}}, {"TREADLE_GUARD", "wide"}},
    {"run_without_program", {"run"}, {}, {"program"}},
    {"run_model", {"run", "--model=banana", "--", "true"}, {}, {"--model", "banana", "m:n"}},
    {"run_width", {"run", "--width=0", "--", "true"}, {}, {"--width", "0"}},
    {"run_workers", {"run", "--workers=0", "--", "true"}, {}, {"--workers", "0"}},
    {"run_pure", {"run", "--model=m:n", "--pure", "--", "true"}, {}, {"--pure", "m:n", "m:1"}},
    {"run_slice", {"run", "--slice=5", "--", "true"}, {}, {"--slice", "5", "1ms to 1h"}},
    {"run_slice_of_pure",
     {"run", "--model=m:1", "--pure", "--slice=5ms", "--", "true"},
     {},
     {"--slice", "5ms", "off"}},
    {"run_watchdog",
     {"run", "--model=m:1", "--pure", "--watchdog=-1", "--", "true"},
     {},
     {"--watchdog", "-1", "86400"}},
    {"run_watchdog_alone",
     {"run", "--model=m:1", "--watchdog=2", "--", "true"},
     {},
     {"--watchdog", "--pure"}},
    {"run_stack", {"run", "--stack=1K", "--", "true"}, {}, {"--stack", "1K", "16384"}},
    {"run_guard", {"run", "--guard=9M", "--", "true"}, {}, {"--guard", "9M", "1048576"}},
    {"run_variable", {"run", "--", "true"}, {{"TREADLE_WIDTH", "x"}}, {"TREADLE_WIDTH", "x"}}};

INSTANTIATE_TEST_SUITE_P(lab, refused, ::testing::ValuesIn(refusals),
                         [](const auto& which) { return std::string(which.param.name); });

// ---- the rest of the command ----

TEST(treadle_command_line, says_its_version_and_helps) {
  const outcome version = treadle({"--version"});
  EXPECT_TRUE(version.exited_with(0)) << version.describe();
  EXPECT_EQ(version.out, std::string("treadle ") + TREADLE_VERSION + "\n");
  for (const words& arguments : {words{"--help"}, words{"lab", "--help"}, words{"run", "--help"},
                                 words{"compare", "--help"}}) {
    const outcome help = treadle(arguments);
    EXPECT_TRUE(help.exited_with(0)) << help.describe();
    EXPECT_NE(help.out.find("Usage"), std::string::npos);
  }
}

TEST(treadle_command_line, run_sets_what_was_asked_for_and_nothing_else) {
  const outcome result = treadle(
      {"run", "--model=1:1", "--width", "3", "--stack=1M", "--", "sh", "-c",
       "echo $TREADLE_MODEL $TREADLE_WIDTH $TREADLE_STACK ${TREADLE_GUARD-unset} $1; exit 7", "sh",
       "--last"});
  EXPECT_TRUE(result.exited_with(7)) << result.describe();
  EXPECT_EQ(result.out, "1:1 3 1M unset --last\n");
}

TEST(treadle_command_line, the_program_gets_its_words_as_they_were_written) {
  const words odd{"[:upper:]", "[a,b]", "[]",    "{}", "",    "--",     "-x",       "--model=m:1",
                  "\"a b\"",   "%%",    "%d\\n", "++", "a,b", "--help", "\xff[\n]", "'q'"};
  std::string expected;
  for (const std::string& each : odd) expected += "<" + each + ">\n";
  for (words arguments :
       {words{"run", "--"}, words{"run", "--width", "2"}, words{"run", "--no-children", "--"}}) {
    arguments.insert(arguments.end(), {"printf", "<%s>\n"});
    arguments.insert(arguments.end(), odd.begin(), odd.end());
    const outcome result = treadle(arguments, {{"TREADLE_MODEL", "1:1"}});
    EXPECT_TRUE(result.exited_with(0)) << result.describe();
    EXPECT_EQ(result.out, expected) << arguments[1];
  }
}

TEST(treadle_command_line, the_program_finds_closed_streams_closed) {
  const char* const script =
      "test ! -e /proc/$$/fd/0 && test ! -e /proc/$$/fd/1 && test -e /proc/$$/fd/2";
  const outcome result = treadle({"run", "--model=1:1", "--", "sh", "-c", script}, {}, [] {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO}) ::close(stream);
  });
  EXPECT_TRUE(result.exited_with(0)) << result.describe();
}

TEST(treadle_command_line, a_refused_command_leaves_no_file) {
  const std::string path = ::testing::TempDir() + "treadle-left.json";
  const outcome result = treadle({"lab", "--json", path, "--report", "/nonexistent/x"}, {}, [] {});
  EXPECT_TRUE(result.exited_with(2)) << result.describe();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

// As `>/dev/full`.
void fill_up(int stream) { ::dup2(::open("/dev/full", O_WRONLY), stream); }

TEST(treadle_command_line, a_lost_complaint_is_still_one) {
  for (const std::vector<std::string>& each :
       {std::vector<std::string>{"bogus"}, {"run", "--model", "x", "--", "true"}}) {
    const outcome result = treadle(each, {}, [] { fill_up(STDERR_FILENO); });
    EXPECT_TRUE(result.exited_with(2)) << result.describe();
  }
}

TEST(treadle_command_line, lost_results_are_a_failure) {
  for (const std::vector<std::string>& each :
       {std::vector<std::string>{"lab", "--list"}, {"--help"}, {"doctor"}}) {
    const outcome result = treadle(each, {}, [] { fill_up(STDOUT_FILENO); });
    EXPECT_TRUE(result.exited_with(1)) << result.describe();
    EXPECT_EQ(count_lines_with(result.err, "writing standard output: "), 1U) << result.describe();
  }
}

TEST(treadle_command_line, run_says_which_program_it_cannot_start) {
  const outcome missing = treadle({"run", "--", "/nonexistent/program"});
  EXPECT_TRUE(missing.exited_with(127)) << missing.describe();
  EXPECT_EQ(count_lines_with(missing.err, "/nonexistent/program"), 1u) << missing.err;
  const outcome no_program = treadle({"run", "--", "/etc/passwd"});
  EXPECT_TRUE(no_program.exited_with(126)) << no_program.describe();
}

}  // namespace
}  // namespace treadle
