// async-cure: readiness (epoll) cures sockets but not regular files; completion cures both.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "treadle/io.hpp"
#include "treadle/io/file_ring.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/outside.hpp"
#include "treadle/lab/ticker.hpp"

namespace treadle::lab {
namespace {

// How a call is made.
enum class way { plain, readiness, poller, pool, uring };

constexpr std::string_view name_of(way which) {
  switch (which) {
    case way::plain:
      return "plain call";
    case way::readiness:
      return "plain call when poll() says ready";
    case way::poller:
      return "treadle::io";
    case way::pool:
      return "treadle::io, pool";
    case way::uring:
      return "treadle::io, io_uring";
  }
  return "";
}

bool cures(way which) { return which >= way::poller; }

void choose(way which) {
  io::file_ring::choose(which == way::pool ? io::file_calls::pool : io::file_calls::automatic);
}

void await_readiness(int descriptor, short events) {
  pollfd one{descriptor, events, 0};
  if (::poll(&one, 1, -1) < 0) fail("poll");
}

prediction expected_gap(const lab_context& lab, way which, const sample& call) {
  if (!cures(which)) return stall_prediction(lab.model(), call);
  return at_most(0, 1, "only the calling thread waits", free_part * call.median);
}

void report_way(lab_context& lab, std::string_view what, way which, const stall& seen,
                std::string_view note) {
  const subject row =
      lab.of(fmt::format("longest gap beside {}: {}", what, name_of(which)), "ns", "gap",
             fmt::format("{} {}, {}", lab.model_name(), what, name_of(which)));
  report_gap(lab, row, expected_gap(lab, which, seen.call), seen, note);
}

// One read of a byte that comes late.
void stream_rows(lab_context& lab, std::string_view what, int reading_end, int writing_end) {
  const file reading(reading_end);
  const file writing(writing_end);
  const auto forget = [&] { io::forget(reading.get()); };  // each repetition has a new runtime
  for (const way which : {way::plain, way::poller}) {
    world outside;
    const stall seen = measure_stall(lab, forget, [&] {
      outside.later(call_length(lab), [&] { (void)!::write(writing.get(), "x", 1); });
      char byte = 0;
      const ssize_t got =
          which == way::plain ? ::read(reading.get(), &byte, 1) : io::read(reading.get(), &byte, 1);
      if (got != 1) fail("read");
    });
    report_way(lab, what, which, seen, "readiness is what it waits for");
  }
}

void pipe_rows(lab_context& lab) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  stream_rows(lab, "read of a pipe", ends[0], ends[1]);
}

void socket_rows(lab_context& lab) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
  stream_rows(lab, "read of a socket", ends[0], ends[1]);
}

// The ways of files, of which io_uring may be refused.
void each_way(lab_context& lab, std::string_view what, const std::function<void(way)>& measure) {
  for (const way which : {way::plain, way::readiness, way::pool, way::uring}) {
    choose(which);
    if (which == way::uring && !io::file_ring::usable()) {
      lab.report(
          not_run(lab.of(fmt::format("longest gap beside {}: {}", what, name_of(which)), "ns"),
                  fmt::format("the kernel refuses io_uring ({})",
                              std::strerror(io::file_ring::refusal()))));
    } else {
      measure(which);
    }
    choose(way::poller);
  }
}

void fsync_rows(lab_context& lab) {
  const file target(make_disk_file());
  const std::size_t bytes = bytes_for_fsync(lab, target);
  const std::string note = fmt::format("of {} in /var/tmp", human(static_cast<double>(bytes), "B"));
  each_way(lab, "fsync", [&](way which) {
    const auto prepare = [&] {
      choose(which);  // a new runtime has said otherwise
      write_file(target, bytes);
    };
    const stall seen = measure_stall(lab, prepare, [&] {
      if (which == way::readiness) await_readiness(target.get(), POLLOUT);
      if (!cures(which)) return flush_file(target);
      if (io::fsync(target.get()) != 0) fail("fsync");
    });
    report_way(lab, "fsync", which, seen, note);
  });
}

void cold_read_rows(lab_context& lab) {
  const file target(make_disk_file());
  const std::size_t bytes = bytes_for_cold_read(lab, target);
  write_file(target, bytes);
  const std::string note = fmt::format("of {} in /var/tmp", human(static_cast<double>(bytes), "B"));
  std::vector<char> all(bytes);
  each_way(lab, "cold read", [&](way which) {
    const auto prepare = [&] {
      choose(which);
      make_cold(target);
    };
    const stall seen = measure_stall(lab, prepare, [&] {
      if (which == way::readiness) await_readiness(target.get(), POLLIN);
      const auto read = [&](std::size_t done) {
        const auto at = static_cast<off_t>(done);
        return cures(which) ? io::pread(target.get(), &all[done], bytes - done, at)
                            : ::pread(target.get(), &all[done], bytes - done, at);
      };
      for (std::size_t done = 0; done < bytes;) {
        const ssize_t got = read(done);
        if (got <= 0) fail("pread");
        done += static_cast<std::size_t>(got);
      }
    });
    report_way(lab, "cold read", which, seen, note);
  });
}

void run(lab_context& lab) {
  lab.attempt("longest gap beside read of a pipe", pipe_rows);
  lab.attempt("longest gap beside read of a socket", socket_rows);
  lab.attempt("longest gap beside fsync", fsync_rows);
  lab.attempt("longest gap beside cold read", cold_read_rows);
}

}  // namespace

const experiment async_cure{
    .id = "async-cure",
    .title = "The cure: asynchronous calls",
    .claim =
        "Waiting for readiness cures a blocking call on a pipe or a socket, but not one on a file, "
        "which is always ready; waiting for completion cures both.",
    .method =
        "One thread ticks and notes its longest gap while another reads a pipe, a socket and a "
        "cold file, and syncs a file to the disk: by the plain call, by the plain call once poll() "
        "says that it is ready, and through treadle::io, where the blocking-call pool or io_uring "
        "completes it.",
    .look =
        "M:1 stands still for the plain calls, also after poll(); with treadle::io no bar is to be "
        "seen, in any model.",
    .plots = {{.key = "gap", .title = "Longest gap of a ticking thread", .unit = "ns"}},
    .run = run};

}  // namespace treadle::lab
