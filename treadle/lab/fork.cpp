// fork: the child has one thread, and whatever state the others left.
#include <fmt/format.h>

#include <optional>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/pthreads.hpp"

namespace treadle::lab {
namespace {

// Guess: a lock that is free is taken sooner; a lock that is not stays so for ever.
constexpr long stuck_milliseconds_quick = 200;
constexpr long stuck_milliseconds = 1000;

struct way {
  const char* name;  // in the record
  const char* quantity;
  double predicted;
  const char* basis;
};

constexpr way ways[] = {
    {"plain", "stuck: fork, then the lock of a thread that is not there", 1,
     "the child has a copy of the locked lock, and nobody to unlock it"},
    {"handlers", "stuck: the same with pthread_atfork", 0, "the handlers took the lock before"},
    {"executed", "stuck: fork and exec", 0, "exec leaves no lock"},
    {"spawned", "stuck: posix_spawn", 0, "there is no copy"}};

void measure(lab_context& lab) {
  const long stuck = lab.quick() ? stuck_milliseconds_quick : stuck_milliseconds;
  const nlohmann::json records =
      run_pthreads(lab, {.part = "forks", .number = stuck, .workers = lab.width()});
  const auto find = [&](const char* name) -> std::optional<double> {
    for (const nlohmann::json& each : records) {
      if (each.contains(name)) return each.at(name).get<double>();
    }
    return std::nullopt;
  };
  const std::string model_name(lab.model_name());
  for (const way& each : ways) {
    const subject of = lab.of(each.quantity, "children", "stuck", model_name + " " + each.name);
    const std::optional<double> found = find(each.name);
    lab.report(found ? judge(of, about(each.predicted, 1, each.basis), sample::once(*found))
                     : not_run(of, "the pthread program did not say"));
  }
  lab.report(judge(lab.of("other threads that go on in the child", "threads"),
                   at_most(0, 1, "the child has one thread, the one that forked"),
                   sample::once(find("extra_threads").value_or(1)),
                   "two kernel threads count, too"));
  lab.report(judge(lab.of("stuck or dead: malloc, stdio and a thread in the child", "children"),
                   at_most(0, 1, "libc makes its own state whole again"),
                   sample::once(find("torn").value_or(1)),
                   human(find("library_forks").value_or(0), "") +
                       " forks beside threads that use malloc and make threads"));
}

void run(lab_context& lab) { lab.attempt("children of fork", measure); }

}  // namespace

const experiment fork_experiment{
    .id = "fork",
    .title = "fork in a process with threads",
    .claim =
        "The child of fork has one thread, a copy of the caller. A lock that another thread held "
        "stays locked for ever, and a library's state may be torn; exec at once, pthread_atfork "
        "and posix_spawn are the ways out.",
    .method =
        "A pthread holds a lock while another one forks, and the child locks it; the same with "
        "handlers that take the lock before the fork; then fork and exec, and posix_spawn. A child "
        "that has not ended after a second (quick: 200 ms; where no deadlock is predicted: 10 s) "
        "is stuck, and is ended. Then forks while other threads use malloc and make threads.",
    .look =
        "The same outcome in every model: the first way hangs, the other three do not, and no "
        "thread but the caller goes on in the child.",
    .plots = {{.key = "stuck", .title = "Children that are stuck", .unit = "children"}},
    .run = run};

}  // namespace treadle::lab
