#include "treadle/lab/blocking_cures.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <optional>

#include "treadle/blocking.hpp"
#include "treadle/blocking_region.hpp"
#include "treadle/io.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/outside.hpp"
#include "treadle/lab/relief.hpp"
#include "treadle/lab/ticker.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

enum class cure { none, activations, region, pool, own_kernel_thread, io_call };

constexpr std::array cures{cure::none, cure::activations,       cure::region,
                           cure::pool, cure::own_kernel_thread, cure::io_call};

constexpr std::string_view name_of(cure which) {
  switch (which) {
    case cure::none:
      return "nothing";
    case cure::activations:
      return "activations";
    case cure::region:
      return "blocking_region";
    case cure::pool:
      return "blocking()";
    case cure::own_kernel_thread:
      return "scope system";
    case cure::io_call:
      return "treadle::io";
  }
  return "";
}

// A call to be cured: plainly, and by treadle::io where that has one.
struct patient {
  const char* name;
  std::function<void()> prepare;
  std::function<void()> plainly;
  std::function<void()> by_io;
};

void call_with(cure which, const patient& one) {
  switch (which) {
    case cure::none:
    case cure::activations:
      return one.plainly();
    case cure::region: {
      const blocking_region here;
      return one.plainly();
    }
    case cure::pool:
      return blocking(one.plainly);
    case cure::own_kernel_thread: {
      thread own({.scope = contention_scope::system}, one.plainly);
      return own.join();
    }
    case cure::io_call:
      return one.by_io();
  }
}

// M:N has one kernel thread to lose, and finds out by itself only where that is the cure.
runtime_options options_for(const lab_context& lab, cure which) {
  runtime_options wanted{.model = lab.model()};
  if (lab.model() != model::many_to_many) return wanted;
  wanted.width = 1;
  if (which != cure::activations) wanted.activation = activation::off;
  return wanted;
}

prediction expected(const lab_context& lab, cure which, const sample& call) {
  const bool needs_workers =
      which == cure::none || which == cure::activations || which == cure::region;
  const bool is_textbook = which == cure::none && lab.model() == model::many_to_many;
  if (is_textbook || (needs_workers && lab.model() == model::many_to_one)) {
    return stall_prediction(model::many_to_one, call);
  }
  return at_most(0, 1, "only the calling thread waits", free_part * call.median);
}

void rows_of(lab_context& lab, const patient& one) {
  for (const cure which : cures) {
    if (which == cure::io_call && !one.by_io) continue;
    const std::string what = which == cure::none
                                 ? fmt::format("{}, not cured", one.name)
                                 : fmt::format("{}, cured by {}", one.name, name_of(which));
    lab.progress(what);
    const subject row = lab.of("longest gap beside " + what, "ns", "cures",
                               fmt::format("{} {}", lab.model_name(), what));
    const runtime_options with = options_for(lab, which);
    const stall seen = measure_stall(
        lab, one.prepare, [&] { call_with(which, one); }, 1, &with);
    std::string note = lab.model() == model::many_to_many ? "on one kernel thread" : "";
    if (which == cure::activations) note += " " + detection_words(runtime(with));
    report_gap(lab, row, expected(lab, which, seen.call), seen, note);
  }
}

void read_rows(lab_context& lab) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  const file reading(ends[0]);
  const file writing(ends[1]);
  world outside;
  const auto later = [&] {
    outside.later(call_length(lab), [&] { (void)!::write(writing.get(), "x", 1); });
  };
  char byte = 0;
  rows_of(lab, {.name = "read",
                // Each repetition has a new runtime.
                .prepare = [&] { io::forget(reading.get()); },
                .plainly =
                    [&] {
                      later();
                      if (::read(reading.get(), &byte, 1) != 1) fail("read");
                    },
                .by_io =
                    [&] {
                      later();
                      if (io::read(reading.get(), &byte, 1) != 1) fail("read");
                    }});
}

void sync_rows(lab_context& lab) {
  const file target(make_disk_file());
  const std::size_t bytes = bytes_for_fsync(lab, target);
  rows_of(lab, {.name = "fsync",
                .prepare = [&] { write_file(target, bytes); },
                .plainly = [&] { flush_file(target); },
                .by_io =
                    [&] {
                      if (io::fsync(target.get()) != 0) fail("fsync");
                    }});
}

// There is no io::flock: locks on files are what the pool, or a region, is for.
void lock_rows(lab_context& lab) {
  const file_lock lock;
  world outside;
  rows_of(lab, {.name = "flock",
                .prepare =
                    [&] {
                      outside.rest();
                      lock.take_away();
                    },
                .plainly =
                    [&] {
                      outside.later(call_length(lab), [&] { lock.give_back(); });
                      lock.wait();
                    },
                .by_io = {}});
}

}  // namespace

void cure_rows(lab_context& lab) {
  lab.attempt("longest gap beside read, cured", read_rows);
  lab.attempt("longest gap beside flock, cured", lock_rows);
  // The disk takes its time.
  if (!lab.quick()) lab.attempt("longest gap beside fsync, cured", sync_rows);
}

}  // namespace treadle::lab
