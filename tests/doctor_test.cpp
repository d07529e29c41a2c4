// `treadle doctor` as a user meets it: every line is there, what is refused is said with a remedy,
// the JSON has its documented shape. What this machine allows is not asked.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/child_process.hpp"

namespace treadle {
namespace {

using testing_support::count_lines_with;
using testing_support::outcome;
using settings = std::vector<std::pair<std::string, std::string>>;

const std::map<std::string, std::set<std::string>> facts_of{
    {"settings", {"model", "width", "stack_bytes", "guard_bytes"}},
    {"kernel", {"release", "machine"}},
    {"cpu", {"model", "online"}},
    {"width", {"online", "affinity", "width"}},
    {"guards", {"guard_install", "mprotect", "stacks_max"}},
    {"map-count", {"max_map_count"}},
    {"overcommit", {"overcommit_memory"}},
    {"solo-mode", {"rseq", "membarrier_rseq"}},
    {"activation", {"level", "why_not_better", "preempts", "why_not_preempting"}},
    {"perf-ring", {"perf_event_paranoid", "error", "records_switches"}},
    {"proc-syscall", {"readable"}},
    {"sched-idle", {"allowed"}},
    {"epoll", {"works", "sockets", "why"}},
    {"io-uring",
     {"io_uring_disabled", "error", "features", "defer_taskrun", "operations", "missing"}},
    {"descriptors", {"soft", "hard"}},
    {"clock", {"nanoseconds", "source"}},
    {"system-call", {"nanoseconds"}},
    {"threads-max", {"threads_max"}},
    {"pid-max", {"pid_max"}},
    {"thread-room", {"threads", "limit"}}};

outcome doctor(std::vector<std::string> arguments = {}, settings environment = {},
               std::function<void()> before_exec = {}) {
  arguments.insert(arguments.begin(), "doctor");
  return testing_support::run(
      {"../../bin/treadle", std::move(arguments), std::move(environment), std::move(before_exec)});
}

// The findings by id, as the JSON has them.
std::map<std::string, nlohmann::json> findings(const settings& environment = {},
                                               const std::function<void()>& before_exec = {}) {
  const std::string path = ::testing::TempDir() + "doctor-" + std::to_string(::getpid()) + ".json";
  const outcome done = doctor({"--json", path}, environment, before_exec);
  EXPECT_TRUE(done.exited_with(0)) << done.describe();
  std::ifstream file(path);
  const nlohmann::json all = nlohmann::json::parse(file);
  std::remove(path.c_str());
  EXPECT_EQ(all.at("treadle"), TREADLE_VERSION);
  EXPECT_EQ(all.size(), 2U);
  std::map<std::string, nlohmann::json> found;
  for (const nlohmann::json& each : all.at("findings")) found[each.at("id")] = each;
  EXPECT_EQ(found.size(), all.at("findings").size()) << "an id stands twice";
  return found;
}

TEST(Doctor, HasEveryLine) {
  const outcome done = doctor();
  ASSERT_TRUE(done.exited_with(0)) << done.describe();
  EXPECT_EQ(done.err, "");
  for (const auto& [id, facts] : facts_of) {
    EXPECT_EQ(count_lines_with(done.out, "+   " + id + " ") +
                  count_lines_with(done.out, "!   " + id + " "),
              1U)
        << id;
  }
  EXPECT_EQ(count_lines_with(done.out, "Treadle uses"), facts_of.size());
  // One remedy for each line that could be better, and no other.
  EXPECT_EQ(count_lines_with(done.out, "  !   "), count_lines_with(done.out, "to get more"));
  std::istringstream lines(done.out);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100U) << line;
    EXPECT_EQ(line.find('\033'), std::string::npos) << line;
  }
}

TEST(Doctor, JsonHasItsDocumentedShape) {
  const auto found = findings();
  EXPECT_EQ(found.size(), facts_of.size());
  for (const auto& [id, facts] : facts_of) {
    ASSERT_TRUE(found.contains(id)) << id;
    const nlohmann::json& each = found.at(id);
    EXPECT_EQ(each.size(), 7U) << id;
    const std::string state = each.at("state");
    EXPECT_TRUE(state == "best" || state == "reduced" || state == "absent") << id;
    EXPECT_EQ(each.at("advice").is_null(), state == "best") << id;
    for (const char* key : {"group", "found", "uses"}) {
      EXPECT_FALSE(each.at(key).get<std::string>().empty()) << id << ": " << key;
    }
    std::set<std::string> keys;
    for (const auto& [key, value] : each.at("facts").items()) keys.insert(key);
    EXPECT_EQ(keys, facts) << id;
  }
}

TEST(Doctor, SaysTheSameOnATerminal) {
  int terminal = -1;
  int inside = -1;
  ASSERT_EQ(::openpty(&terminal, &inside, nullptr, nullptr, nullptr), 0);
  // The terminal's buffer is smaller than the report: it is read while it is written.
  const pid_t reader = ::fork();
  if (reader == 0) {
    ::close(inside);
    char buffer[512];
    std::size_t lines = 0;
    for (ssize_t count = 0; (count = ::read(terminal, buffer, sizeof(buffer))) > 0;) {
      for (ssize_t i = 0; i < count; ++i) lines += buffer[i] == '\n' ? 1 : 0;
    }
    // More than two lines for each finding.
    ::_exit(lines > 2 * facts_of.size() ? 0 : 1);
  }
  const outcome done = doctor({}, {}, [inside] { ::dup2(inside, STDOUT_FILENO); });
  EXPECT_TRUE(done.exited_with(0)) << done.describe();
  ::close(inside);
  ::close(terminal);
  int status = -1;
  ::waitpid(reader, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(Doctor, GuardsFallBackToMprotect) {
  const auto found = findings({{"TREADLE_FAULT", "madvise:1+:EINVAL"}});
  const nlohmann::json& guards = found.at("guards");
  EXPECT_EQ(guards.at("state"), "reduced");
  EXPECT_EQ(guards.at("facts").at("guard_install"), false);
  EXPECT_EQ(guards.at("facts").at("mprotect"), true);
  EXPECT_GT(guards.at("facts").at("stacks_max").get<std::uint64_t>(), 0U);
  EXPECT_NE(guards.at("uses").get<std::string>().find("mprotect"), std::string::npos);
  EXPECT_NE(guards.at("advice").get<std::string>().find("max_map_count"), std::string::npos);
}

TEST(Doctor, NoGuardsAtAll) {
  for (const char* faults : {"madvise:1+:EPERM,mprotect:1+:EACCES", "mmap:1+:ENOMEM"}) {
    const auto found = findings({{"TREADLE_FAULT", faults}});
    EXPECT_EQ(found.at("guards").at("state"), "absent") << faults;
    EXPECT_EQ(found.at("guards").at("facts").at("mprotect"), false) << faults;
  }
}

TEST(Doctor, IoUringRefused) {
  for (const char* error : {"EPERM", "ENOSYS", "ENOMEM"}) {
    const auto found = findings({{"TREADLE_FAULT", std::string("io_uring_setup:1+:") + error}});
    const nlohmann::json& ring = found.at("io-uring");
    EXPECT_EQ(ring.at("state"), "absent") << error;
    EXPECT_NE(ring.at("facts").at("error"), 0) << error;
    EXPECT_NE(ring.at("uses").get<std::string>().find("pool"), std::string::npos);
    EXPECT_FALSE(ring.at("advice").get<std::string>().empty());
  }
}

TEST(Doctor, FollowsAffinityAndLimits) {
  const auto found = findings({}, [] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    ::sched_setaffinity(0, sizeof(one), &one);
    const rlimit files{64, 128};
    ::setrlimit(RLIMIT_NOFILE, &files);
  });
  EXPECT_EQ(found.at("width").at("facts").at("affinity"), 1);
  EXPECT_EQ(found.at("width").at("facts").at("width"), 1);
  EXPECT_EQ(found.at("descriptors").at("facts").at("soft"), 64);
  EXPECT_EQ(found.at("descriptors").at("state"), "reduced");
  EXPECT_NE(found.at("descriptors").at("advice").get<std::string>().find("128"), std::string::npos);
}

TEST(Doctor, ShowsTheSettingsInForce) {
  const auto found =
      findings({{"TREADLE_MODEL", "m:1"}, {"TREADLE_STACK", "64K"}, {"TREADLE_GUARD", "8K"}});
  EXPECT_EQ(found.at("settings").at("facts").at("model"), "m:1");
  EXPECT_EQ(found.at("settings").at("facts").at("stack_bytes"), 65536);
  EXPECT_NE(found.at("settings").at("found").get<std::string>().find("TREADLE_STACK=64K"),
            std::string::npos);
}

TEST(Doctor, BadOptionsAreRefused) {
  EXPECT_TRUE(doctor({"--nonsense"}).exited_with(2));
  EXPECT_TRUE(doctor({"more"}).exited_with(2));
  EXPECT_TRUE(doctor({"--json"}).exited_with(2));
  const outcome nowhere = doctor({"--json", "/nonexistent/file"});
  EXPECT_TRUE(nowhere.exited_with(2));
  EXPECT_NE(nowhere.err.find("/nonexistent/file"), std::string::npos);
  EXPECT_EQ(nowhere.out, "");
  const outcome setting = doctor({}, {{"TREADLE_MODEL", "2:1"}});
  EXPECT_TRUE(setting.exited_with(2));
  EXPECT_NE(setting.err.find("TREADLE_MODEL"), std::string::npos);
}

TEST(Doctor, AFullDiskIsAFailure) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  EXPECT_TRUE(doctor({"--json", "/dev/full"}).exited_with(1));
}

}  // namespace
}  // namespace treadle
