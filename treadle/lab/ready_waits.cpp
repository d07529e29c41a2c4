#include "treadle/lab/ready_waits.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "treadle/lab/cold_file.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/outside.hpp"
#include "treadle/lab/relief.hpp"
#include "treadle/lab/slow_pages.hpp"
#include "treadle/lab/ticker.hpp"

namespace treadle::lab {
namespace {

// The aim: the median of the longest waits.
constexpr double aim = 1e6;

unsigned times(const lab_context& lab) { return lab.quick() ? 5 : 50; }
double long_call(const lab_context& lab) { return lab.quick() ? 50e6 : 300e6; }
// For calls that somebody outside ends: guess, a score of times what is to be seen.
constexpr double short_call = 20e6;

void row_of(lab_context& lab, const std::string& what, const std::function<void()>& prepare,
            const std::function<void()>& call) {
  lab.progress(what);
  const runtime_options wanted{.model = lab.model(), .width = 1};
  const stall seen = measure_stall(lab, prepare, call, 1, &wanted, times(lab));
  lab.report_shared(
      judge(lab.of("longest wait of a ready thread beside " + what, "ns", "ready", what),
            at_most(aim, 1, "the aim, 1 ms"), seen.longest,
            fmt::format("each took {}; {}", human(seen.call.median, "ns"),
                        detection_words(runtime(wanted)))));
}

void sleep_row(lab_context& lab) {
  const double length = long_call(lab);
  row_of(lab, fmt::format("usleep({})", human(length, "ns")), {},
         [&] { ::usleep(static_cast<useconds_t>(length / 1e3)); });
}

void read_row(lab_context& lab) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  const file reading(ends[0]);
  const file writing(ends[1]);
  world outside;
  row_of(lab, "a blocking read", {}, [&] {
    outside.later(short_call, [&] { (void)!::write(writing.get(), "x", 1); });
    char byte = 0;
    if (::read(reading.get(), &byte, 1) != 1) fail("read");
  });
}

void lock_row(lab_context& lab) {
  const file_lock lock;
  world outside;
  row_of(
      lab, "flock",
      [&] {
        outside.rest();
        lock.take_away();
      },
      [&] {
        outside.later(short_call, [&] { lock.give_back(); });
        lock.wait();
      });
}

void sync_row(lab_context& lab) {
  // Guess: a storm is a score of small ones.
  constexpr int syncs = 20;
  const file target(make_disk_file());
  row_of(lab, fmt::format("{} fsyncs", syncs), {}, [&] {
    for (int i = 0; i < syncs; ++i) {
      if (::pwrite(target.get(), "one line\n", 9, 0) != 9) fail("pwrite");
      flush_file(target);
    }
  });
}

void cold_file_row(lab_context& lab) {
  constexpr std::size_t pages = 16;  // guess: as many faults, one after another
  cold_file from(pages);
  row_of(
      lab, fmt::format("{} cold pages of a file", pages), [&] { from.forget(); },
      [&] {
        for (std::size_t page = 0; page < pages; ++page) from.touch(page);
      });
}

void slow_page_row(lab_context& lab) {
  slow_pages from(1, 1, short_call);
  row_of(
      lab, "a cold page that takes " + human(short_call, "ns"), [&] { from.forget(); },
      [&] { from.touch(0); });
}

}  // namespace

void ready_wait_rows(lab_context& lab) {
  if (lab.model() != model::many_to_many) return;
  lab.attempt("longest wait beside usleep", sleep_row);
  lab.attempt("longest wait beside a blocking read", read_row);
  lab.attempt("longest wait beside flock", lock_row);
  lab.attempt("longest wait beside fsync", sync_row);
  lab.attempt("longest wait beside cold pages of a file", cold_file_row);
  lab.attempt("longest wait beside a slow page", slow_page_row);
}

}  // namespace treadle::lab
