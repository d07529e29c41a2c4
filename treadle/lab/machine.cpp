// Facts from /proc, uname and the compiler.
#include "treadle/lab/machine.hpp"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "treadle/lab/file_text.hpp"
#include "treadle/lab/interference.hpp"

namespace treadle::lab {
namespace {

std::string cpu_name(const utsname& names) {
  const std::string text = file_text("/proc/cpuinfo").value_or("");
  // Arm has no model name, only numbers of the maker.
  for (const char* key : {"model name", "Model", "CPU part"}) {
    if (auto found = field_text(text, key); found && !found->empty()) return *std::move(found);
  }
  return names.machine;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&now, &parts) == nullptr) return "unknown";
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

constexpr const char* compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

// The load average would not do: it also counts the kernel threads of a lab that ran before.
double busy_now() {
  const interference others;
  // Guess: 25 steps of the kernel's clock, short enough not to be noticed.
  const timespec pause{0, 250'000'000};
  (void)::nanosleep(&pause, nullptr);
  return others.share();
}

nlohmann::json median_of(const quantities& known, std::string_view name) {
  const auto found = known.find(name);
  if (found == known.end()) return nullptr;
  return found->second.median;
}

}  // namespace

std::string settings_in_force() {
  std::string text;
  for (const char* name :
       {"TREADLE_MODEL", "TREADLE_WIDTH", "TREADLE_STACK", "TREADLE_GUARD", "TREADLE_ACTIVATION",
        "TREADLE_SLICE", "TREADLE_BLOCKING_THREADS", "TREADLE_IO"}) {
    const char* const value = std::getenv(name);
    if (value == nullptr) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  }
  return text;
}

machine_facts read_machine() {
  utsname names{};
  (void)::uname(&names);  // cannot fail: the argument is right
  machine_facts facts;
  facts.cpu = cpu_name(names);
  facts.cores = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN));
  facts.kernel = fmt::format("{} {}", names.sysname, names.release);
  const std::string memory = file_text("/proc/meminfo").value_or("");
  facts.memory_bytes = static_cast<double>(field_number(memory, "MemTotal").value_or(0)) * 1024;
  facts.glibc = ::gnu_get_libc_version();
  facts.compiler = compiler_name();
  facts.version = TREADLE_VERSION;
  facts.date = utc_now();
  facts.busy = busy_now();
  facts.settings = settings_in_force();
  return facts;
}

std::string busy_warning(const machine_facts& of) {
  // Guess: with a quarter of the machine taken, one repetition in four is off, and medians hold.
  if (of.busy <= 0.25) return {};
  return fmt::format(
      "other programs took {:.0f} % of the CPUs just before the run: figures will be off, those of "
      "several CPUs most",
      of.busy * 100);
}

nlohmann::json machine_json(const machine_facts& of, const quantities& known) {
  nlohmann::json made{{"cpu", of.cpu},
                      {"cores", of.cores},
                      {"width", median_of(known, "width")},
                      {"kernel", of.kernel},
                      {"memory_bytes", of.memory_bytes},
                      {"glibc", of.glibc},
                      {"compiler", of.compiler},
                      {"treadle", of.version},
                      {"date", of.date},
                      {"busy_before", of.busy},
                      {"settings", of.settings},
                      {"c_u_ns", median_of(known, "c_u")},
                      {"c_k_ns", median_of(known, "c_k")},
                      {"k_b_bytes", median_of(known, "k_b")}};
  nlohmann::json all = nlohmann::json::object();
  for (const auto& [name, value] : known) {
    all[name] = {{"median", value.median},
                 {"lowest", value.lowest},
                 {"highest", value.highest},
                 {"count", value.count}};
  }
  made["quantities"] = std::move(all);
  return made;
}

}  // namespace treadle::lab
