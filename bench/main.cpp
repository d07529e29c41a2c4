// treadle-bench: the workloads of Treadle beside their peers, in one run.
//
// The parent never measures. For each workload and number of workers it goes round the peers
// several times and starts one child for each, so that slow drifts of the machine (its frequency,
// its neighbours) meet all peers alike. The unit f is measured at the start of each round, right
// before Treadle, and a figure in f is the median over the rounds of sample by unit: on a machine
// that others share f changes by half from one minute to the next, and the samples with it.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "catalogue.hpp"
#include "child.hpp"
#include "report.hpp"

namespace treadle::bench {
namespace {

// More processes show more address layouts and let the peers take turns more often, but each pays a
// warm-up. Treadle's own rows are judged, and take a tenth of their peers' time: they get most.
// (Measured on a shared machine: the judged figure of fib on two workers moved by 25 % from run to
// run with five processes each.)
constexpr unsigned rounds_treadle = 15;
constexpr unsigned rounds_peer = 5;
constexpr unsigned repetitions_full = 2;
// A million threads are slow to make and weigh the same every time (measured: spread below 0.1 %).
constexpr unsigned memory_rounds_treadle = 3;
constexpr unsigned memory_rounds_peer = 1;

struct options {
  std::vector<std::string> only;
  std::string json_file;
  bool list = false;
  bool quick = false;
  std::vector<std::string> child;
};

void show_progress(std::size_t done, std::size_t all, const workload& work, unsigned workers) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fputs(fmt::format("\r\033[K[{}/{}] {} ({})", done, all, work.name, workers).c_str(), stderr);
  std::fflush(stderr);
}

void run_row(row& one, const options& chosen, double unit, std::vector<repetition>& collected) {
  const child_order order = {std::string(one.work->name), one.peer, one.workers,
                             chosen.quick ? 1 : repetitions_full, chosen.quick};
  child_result result = run_child(order);
  if (!result.why_not.empty()) {
    one.why_not = result.why_not;
    return;
  }
  for (repetition& each : result.repetitions) each.f_nanoseconds = unit;
  collected.insert(collected.end(), result.repetitions.begin(), result.repetitions.end());
}

unsigned rounds_of(const row& one) {
  const bool ours = one.peer.starts_with("treadle");
  if (!one.work->one_at_a_time) return ours ? rounds_treadle : rounds_peer;
  return one.peer == "treadle" ? memory_rounds_treadle : memory_rounds_peer;
}

/// One f in nanoseconds, now; 0 if it cannot be measured.
double measure_unit(const options& chosen) {
  row unit;
  unit.work = find_workload("switch");
  unit.peer = "fcontext";
  std::vector<repetition> repetitions;
  run_row(unit, chosen, 0, repetitions);
  if (repetitions.empty()) return 0;
  take_samples(unit, repetitions);
  return median(unit.samples);
}

/// All peers of one workload with one number of workers.
void run_group(const workload& work, unsigned workers, const options& chosen,
               std::vector<row>& rows) {
  std::vector<row> group;
  for (const std::string_view peer : work.peers) {
    if (peer == "treadle-m:1" && workers != 1) continue;  // it has one worker by definition
    row one;
    one.work = &work;
    one.peer = peer;
    one.workers = workers;
    if (allowed_cpus() < workers) one.why_not = "only one CPU is allowed";
    group.push_back(std::move(one));
  }
  std::vector<std::vector<repetition>> of_rows(group.size());
  const unsigned rounds = chosen.quick ? 1 : std::max(rounds_treadle, rounds_peer);
  for (unsigned round = 0; round < rounds; ++round) {
    double unit = 0;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (!group[i].why_not.empty() || round >= rounds_of(group[i])) continue;
      if (unit == 0) unit = measure_unit(chosen);
      run_row(group[i], chosen, unit, of_rows[i]);
    }
  }
  double cas_pair = 0;
  double receive = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (!group[i].why_not.empty()) continue;
    take_samples(group[i], of_rows[i]);
    if (group[i].peer == "cas-pair") cas_pair = median(group[i].samples);
    if (group[i].peer == "one-receive") receive = median(group[i].samples);
    if (group[i].peer == "fcontext") group[i].units = group[i].samples;  // it is the unit
  }
  for (row& one : group) {
    one.cas_pair_nanoseconds = cas_pair;
    one.receive_nanoseconds = receive;
    for (const row& earlier : rows) {
      const bool same = earlier.work == one.work && earlier.peer == one.peer;
      if (same && earlier.workers == 1 && !earlier.samples.empty()) {
        one.single_nanoseconds = median(earlier.samples);
      }
    }
    rows.push_back(std::move(one));
  }
}

/// The two CPUs may be siblings of one core: a neighbour's work slows even pinned rows (measured:
/// yield 10 ns on a quiet machine, up to 18 beside a compiler, while f went from 4.7 to 6.3).
void warn_if_busy() {
  double load = 0;
  // Guess: a machine with half a CPU busy for a minute is not quiet.
  if (getloadavg(&load, 1) == 1 && load > 0.5) {
    std::fprintf(stderr, "warning: the load average is %.1f; figures of a busy machine mislead\n",
                 load);
  }
}

void run_all(const std::vector<const workload*>& works, const options& chosen) {
  // Opened first: a name that cannot be written should not cost five minutes.
  std::ofstream file;
  if (!chosen.json_file.empty()) file.open(chosen.json_file);
  if (!file) throw std::runtime_error(fmt::format("cannot write {}", chosen.json_file));
  std::size_t all = 0;
  for (const workload* work : works) all += work->workers.size();
  std::vector<row> rows;
  std::size_t done = 0;
  for (const workload* work : works) {
    for (const unsigned workers : work->workers) {
      show_progress(++done, all, *work, workers);
      run_group(*work, workers, chosen, rows);
    }
  }
  if (isatty(STDERR_FILENO) != 0) std::fputs("\r\033[K", stderr);
  if (!chosen.json_file.empty()) {
    file << to_json(rows);
    file.close();
    if (!file) throw std::runtime_error(fmt::format("cannot write {}", chosen.json_file));
  }
  print_table(rows);  // last, as it throws where nobody can read it
}

void describe_options(CLI::App& app, options& chosen) {
  app.add_option("--only", chosen.only, "workloads, separated by commas")->delimiter(',');
  app.add_option("--json", chosen.json_file, "write the rows to this file")
      ->check([](const std::string& file) {
        const bool fits = !file.empty() && !file.starts_with("--");
        return fits ? std::string() : fmt::format("is '{}'; allowed: a file to write", file);
      });
  app.add_flag("--list", chosen.list, "name the workloads and stop");
  app.add_flag("--quick", chosen.quick, "a hundredth of the work, once: a smoke test, no figures");
  app.add_option("--child", chosen.child, "internal")->expected(4)->group("");
}

int usage_error(const std::string& what) {
  std::fputs(fmt::format("treadle-bench: {}\n", what).c_str(), stderr);
  return 2;
}

int run(const options& chosen) {
  if (!chosen.child.empty()) {
    be_child({chosen.child[0], chosen.child[1], static_cast<unsigned>(std::stoul(chosen.child[2])),
              static_cast<unsigned>(std::stoul(chosen.child[3])), chosen.quick});
  }
  std::vector<std::string_view> names;
  for (const workload& work : catalogue()) names.push_back(work.name);
  if (chosen.list) {
    for (const workload& work : catalogue()) fmt::print("{:<18} {}\n", work.name, work.what);
    return 0;
  }
  std::vector<const workload*> works;
  for (const std::string& name : chosen.only) {
    if (find_workload(name) == nullptr) {
      return usage_error(
          fmt::format("--only names '{}'; allowed: {}", name, fmt::join(names, ", ")));
    }
  }
  for (const workload& work : catalogue()) {
    const bool asked =
        std::find(chosen.only.begin(), chosen.only.end(), work.name) != chosen.only.end();
    if (chosen.only.empty() || asked) works.push_back(&work);
  }
  warn_if_busy();
  run_all(works, chosen);
  return 0;
}

/// What was printed may only now meet a full disk.
int end_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fputs("treadle-bench: cannot write to standard output\n", stderr);
  return 1;
}

}  // namespace
}  // namespace treadle::bench

int main(int argc, char** argv) {
  treadle::bench::options chosen;
  CLI::App app("The workloads of Treadle beside their peers", "treadle-bench");
  treadle::bench::describe_options(app, chosen);
  try {
    app.parse(argc, argv);
    const int status = treadle::bench::run(chosen);
    return status != 0 ? status : treadle::bench::end_output();
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return treadle::bench::end_output();
  } catch (const CLI::ParseError& error) {
    return treadle::bench::usage_error(error.what());
  } catch (const std::exception& error) {
    std::fputs(fmt::format("treadle-bench: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
}
