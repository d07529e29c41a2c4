// blocking-call: one blocking call freezes all of M:1, one thread of 1:1, one kernel thread of M:N.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "treadle/lab/all_experiments.hpp"
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
  if (seen.call.median < call_shortest) {
    lab.report(not_run(row, fmt::format("{} took {} here, too short to tell a stall from the "
                                        "kernel's own time slices",
                                        name, human(seen.call.median, "ns"))));
    return;
  }
  lab.report_shared(judge(
      row, stall_prediction(lab.model(), seen.call), seen.longest,
      fmt::format("the call took {}{}{}{}", human(seen.call.median, "ns"), note.empty() ? "" : "; ",
                  note, lab.processors() < 2 ? "; on one CPU" : "")));
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
  char path[] = "/tmp/treadle-lab-XXXXXX";
  const file holder(::mkostemp(path, O_CLOEXEC));
  // A second open file description: locks of flock(2) belong to those.
  const file waiter(::open(path, O_RDWR | O_CLOEXEC));
  ::unlink(path);
  world outside;
  const stall seen = measure_stall(
      lab,
      [&] {
        outside.rest();
        ::flock(waiter.get(), LOCK_UN);
        if (::flock(holder.get(), LOCK_EX) != 0) fail("flock");
      },
      [&] {
        outside.later(call_length(lab), [&] { ::flock(holder.get(), LOCK_UN); });
        if (::flock(waiter.get(), LOCK_EX) != 0) fail("flock");
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
  constexpr std::array rows{read_row, sleep_row, fsync_row, flock_row, name_row, own_sleep_row};
  constexpr std::array names{"read", "nanosleep", "fsync", "flock", "name look-up", "sleep_for"};
  for (std::size_t index = 0; index < rows.size(); ++index) {
    lab.progress(names[index]);
    try {
      rows[index](lab);
    } catch (const std::exception& error) {
      lab.report(
          not_run(lab.of(fmt::format("longest gap beside {}", names[index]), "ns"), error.what()));
    }
  }
  if (lab.model() == model::many_to_many) all_workers_row(lab);
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
        "runtime's own sleep_for, which parks only the thread, is the control.",
    .look =
        "Every M:1 bar is as long as the call, but for sleep_for. For 1:1 and M:N hardly "
        "anything should be seen, until M:N has as many calls as kernel threads.",
    .plots = {{.key = "gap", .title = "Longest gap of a ticking thread", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
