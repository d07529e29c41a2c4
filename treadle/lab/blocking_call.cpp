// blocking-call: one blocking call freezes all of M:1, one thread of 1:1, one kernel thread of M:N.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/blocking_cures.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/name_server.hpp"
#include "treadle/lab/outside.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/lab/ticker.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

void report_stall(lab_context& lab, const std::string& name, const stall& seen,
                  std::string_view note = {}) {
  const subject row = lab.of("longest gap beside " + name, "ns", "gap",
                             fmt::format("{} {}", lab.model_name(), name));
  report_gap(lab, row, stall_prediction(lab.model(), seen.call), seen,
             fmt::format("{}{}", note, lab.processors() < 2 ? " on one CPU" : ""));
}

void read_row(lab_context& lab) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  const file reading(ends[0]);
  const file writing(ends[1]);
  world outside;
  const stall seen = measure_stall(lab, {}, [&] {
    outside.later(call_length(lab), [&] { (void)!::write(writing.get(), "x", 1); });
    char byte = 0;
    if (::read(reading.get(), &byte, 1) != 1) fail("read");
  });
  report_stall(lab, "read of a pipe", seen);
}

void sleep_row(lab_context& lab) {
  const auto call = [&] { sleep_in_kernel(call_length(lab)); };
  report_stall(lab, "nanosleep", measure_stall(lab, {}, call));
}

void fsync_row(lab_context& lab) {
  const file target(make_disk_file());
  const std::size_t bytes = bytes_for_fsync(lab, target);
  const stall seen = measure_stall(
      lab, [&] { write_file(target, bytes); }, [&] { flush_file(target); });
  report_stall(lab, "fsync", seen,
               fmt::format("of {} in /var/tmp", human(static_cast<double>(bytes), "B")));
}

void flock_row(lab_context& lab) {
  const file_lock lock;
  world outside;
  const stall seen = measure_stall(
      lab,
      [&] {
        outside.rest();
        lock.take_away();
      },
      [&] {
        outside.later(call_length(lab), [&] { lock.give_back(); });
        lock.wait();
      });
  report_stall(lab, "flock", seen);
}

void name_row(lab_context& lab) {
  slow_name_server server(call_length(lab));
  const stall seen = measure_stall(lab, {}, [&] { server.look_up(); });
  report_stall(lab, "name look-up", seen,
               "libc's resolver, asking a name server in this process that answers late");
}

void own_sleep_row(lab_context& lab) {
  const stall seen = measure_stall(lab, {}, [&] {
    this_thread::sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(call_length(lab))));
  });
  const std::string name = "treadle's sleep_for";
  lab.report_shared(
      judge(lab.of("longest gap beside " + name, "ns", "gap",
                   fmt::format("{} sleep_for", lab.model_name())),
            at_most(0, 1, "the runtime's own call parks only the thread", 0.25 * seen.call.median),
            seen.longest, fmt::format("the call took {}", human(seen.call.median, "ns"))));
}

// As many calls as kernel threads: the text's K - 1 others are none.
void all_workers_row(lab_context& lab) {
  const unsigned width = ticker_width(lab).value_or(1);
  const auto call = [&] { sleep_in_kernel(call_length(lab)); };
  const stall seen = measure_stall(lab, {}, call, width);
  lab.report_shared(judge(
      lab.of(fmt::format("longest gap beside {} nanosleeps at once", width), "ns", "gap",
             fmt::format("m:n {} nanosleeps", width)),
      at_most(seen.call.median, 1.25, "K calls on K kernel threads leave none"), seen.longest,
      seen.longest.median < 0.5 * seen.call.median
          ? "Treadle beats the textbook here: other kernel threads took over"
          : "as the textbook says: one blocking call for each kernel thread stops everything"));
}

void run(lab_context& lab) {
  lab.attempt("longest gap beside read", read_row);
  lab.attempt("longest gap beside nanosleep", sleep_row);
  lab.attempt("longest gap beside fsync", fsync_row);
  lab.attempt("longest gap beside flock", flock_row);
  lab.attempt("longest gap beside name look-up", name_row);
  lab.attempt("longest gap beside sleep_for", own_sleep_row);
  if (lab.model() == model::many_to_many) {
    lab.attempt("longest gap beside a call on each kernel thread", all_workers_row);
  }
  cure_rows(lab);
}

}  // namespace

const experiment blocking_call{
    .id = "blocking-call",
    .title = "One blocking call",
    .claim =
        "A blocking system call freezes every thread of M:1 for the length of the call, one "
        "thread of 1:1, and one kernel thread of M:N.",
    .method =
        "One thread ticks and notes its longest gap while another makes a call that blocks in "
        "the kernel: read of an empty pipe, nanosleep, fsync, flock and a name look-up. The "
        "runtime's own sleep_for, which parks only the thread, is the control. Then read, flock "
        "and "
        "fsync with each cure, M:N on one kernel thread: nothing, activations, a blocking_region, "
        "the "
        "blocking-call pool, a kernel thread of its own and treadle::io.",
    .look =
        "Every M:1 bar is as long as the call, but for sleep_for. For 1:1 and M:N hardly "
        "anything should be seen, until M:N has as many calls as kernel threads. Of the cures, the "
        "pool, the own kernel thread and treadle::io help in every model.",
    .plots = {{.key = "gap", .title = "Longest gap of a ticking thread", .unit = "ns"},
              {.key = "cures", .title = "Longest gap with each cure", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
