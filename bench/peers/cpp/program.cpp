#include "program.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <stdexcept>

namespace treadle::bench {
namespace {

constexpr int status_wrong = 1;
constexpr int status_usage = 2;
constexpr int status_no_such_workload = 3;

[[noreturn]] void end(int status, const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::fflush(stdout);
  _exit(status);
}

void print(const repetition& one) {
  std::printf("{\"operations\": %.0f, \"wall_s\": %.9f, \"cpu_s\": %.9f", one.operations,
              one.wall_seconds, one.cpu_seconds);
  const auto extra = [](const char* name, double value) {
    if (value != 0) std::printf(", \"%s\": %.9g", name, value);
  };
  extra("bytes", one.bytes);
  extra("serial_s", one.serial_seconds);
  extra("longest_wait_s", one.longest_wait);
  extra("late_median_s", one.median_late);
  extra("late_worst_s", one.worst_late);
  extra("beyond_median_s", one.beyond_median);
  extra("beyond_p99_s", one.beyond_p99);
  std::printf("}\n");
}

long number(const char* name, const char* text, long least) {
  std::size_t used = 0;
  long value = least - 1;
  try {
    value = std::stol(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || text[used] != '\0' || value < least) {
    end(status_usage,
        std::string(name) + " is '" + text + "'; allowed: a number from " + std::to_string(least));
  }
  return value;
}

}  // namespace

void level_floating_point_flags() {
  const volatile double one = 1;
  const volatile double three = 3;
  const volatile double inexact = one / three;
  static_cast<void>(inexact);
}

void report(const order& asked, const std::function<repetition()>& once, bool cold) {
  try {
    if (!cold) once();
    for (unsigned done = 0; done < asked.repetitions; ++done) {
      print(once());
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    end(status_wrong, error.what());
  }
  _exit(0);
}

int run_program(int argc, char** argv, std::string_view version,
                void (*measure)(const order& asked)) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("%.*s; " TREADLE_BENCH_COMPILER "\n", static_cast<int>(version.size()),
                version.data());
    return 0;
  }
  if (argc != 5 && argc != 6) {
    end(status_usage, std::string(argv[0]) + " WORKLOAD WORKERS REPETITIONS COUNT [MORE]");
  }
  const order asked = {argv[1], static_cast<unsigned>(number("WORKERS", argv[2], 1)),
                       static_cast<unsigned>(number("REPETITIONS", argv[3], 1)),
                       number("COUNT", argv[4], 1), argc == 6 ? number("MORE", argv[5], 0) : 0};
  level_floating_point_flags();
  try {
    measure(asked);
  } catch (const no_such_workload&) {
    end(status_no_such_workload, "has no workload " + asked.workload);
  } catch (const std::exception& error) {
    end(status_wrong, error.what());
  }
  return status_wrong;  // report() does not come back
}

}  // namespace treadle::bench
