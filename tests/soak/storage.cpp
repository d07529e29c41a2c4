// full-disk and files: a logger whose disk is full beside one whose is not, and files read and
// written in every way.
#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

namespace io = treadle::io;

enum disk_count { refused, kept };

void log_where_it_is_full(seat& mine) {
  const descriptor full(SOAK_MUST(io::open("/dev/full", O_WRONLY | O_CLOEXEC)));
  for (int i = 0; i < 10; ++i) {
    const ssize_t got =
        i % 2 == 0 ? io::write(full.get(), "line\n", 5) : io::pwrite(full.get(), "line\n", 5, i);
    const int error = io::own_errno();
    if (got < 0 && is_drought(error)) throw excuse();
    SOAK_CHECK(got == -1 && error == ENOSPC, "a full disk says otherwise", error);
    mine.count(refused);
  }
}

void log_where_there_is_room(seat& mine, unsigned seed) {
  const descriptor log = make_file();
  std::string wanted;
  for (unsigned i = 0; i < 10; ++i) {
    const std::string line = std::to_string(seed + i) + " is a line\n";
    const ssize_t got = SOAK_MUST(
        io::pwrite(log.get(), line.data(), line.size(), static_cast<off_t>(wanted.size())));
    SOAK_CHECK(got == static_cast<ssize_t>(line.size()), "a short line", got);
    wanted += line;
    if (i % 4 == 0) SOAK_MUST(io::fsync(log.get()));
    mine.count(kept);
  }
  std::string found(wanted.size(), '\0');
  const ssize_t got = SOAK_MUST(io::pread(log.get(), found.data(), found.size(), 0));
  SOAK_CHECK(got == static_cast<ssize_t>(found.size()) && found == wanted, "a log changed", got);
}

void log_turn(seat& mine) {
  crowd loggers;
  loggers.add([&mine] { log_where_it_is_full(mine); });
  loggers.add([&mine, seed = mine.draw(10'000)] { log_where_there_is_room(mine, seed); });
  mine.mark("logging");
  loggers.join();
}

enum file_count { written, read_back, synced, looked_up, in_time };

void write_piece(int file, unsigned seed, std::size_t from, std::size_t bytes) {
  std::vector<char> piece(bytes);
  for (std::size_t i = 0; i < bytes; ++i) piece[i] = pattern(seed, from + i);
  if (seed % 2 == 0) {
    const ssize_t got = SOAK_MUST(io::pwrite(file, piece.data(), bytes, static_cast<off_t>(from)));
    SOAK_CHECK(got == static_cast<ssize_t>(bytes), "a short write", got);
    return;
  }
  const iovec parts[2] = {{piece.data(), bytes / 3}, {piece.data() + bytes / 3, bytes - bytes / 3}};
  const ssize_t got = SOAK_MUST(io::pwritev(file, parts, 2, static_cast<off_t>(from)));
  SOAK_CHECK(got == static_cast<ssize_t>(bytes), "a short write", got);
}

void read_piece(int file, unsigned seed, std::size_t from, std::size_t bytes) {
  std::vector<char> piece(bytes);
  const ssize_t got = SOAK_MUST(io::pread(file, piece.data(), bytes, static_cast<off_t>(from)));
  SOAK_CHECK(got == static_cast<ssize_t>(bytes), "a short read", got);
  for (std::size_t i = 0; i < bytes; ++i) {
    SOAK_CHECK(piece[i] == pattern(seed, from + i), "a file is wrong at", from + i);
  }
}

// With a limit that may come first: all of the result, or a time-out.
void read_in_time(seat& mine, int file, unsigned seed, std::size_t bytes, unsigned span) {
  std::vector<char> piece(bytes);
  const ssize_t got = io::pread(file, piece.data(), bytes, 0, microseconds(span));
  if (got < 0) {
    const int error = io::own_errno();
    if (is_drought(error)) throw excuse();
    SOAK_CHECK(error == ETIMEDOUT, "a read in time", error);
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
    SOAK_CHECK(piece[i] == pattern(seed, i), "a file is wrong at", i);
  }
  mine.count(in_time);
}

// Descriptors may be missing inside the resolver, which then has other words for it.
void look_up(seat& mine) {
  const unsigned before = droughts.load();
  addrinfo* found = nullptr;
  const int got = io::getaddrinfo("localhost", "80", nullptr, &found);
  if (got == 0) ::freeaddrinfo(found);
  if (got != 0 && (before % 2 == 1 || droughts.load() != before)) throw excuse();
  SOAK_CHECK(got == 0, "localhost is unknown", got);
  mine.count(looked_up);
}

void file_turn(seat& mine) {
  mine.mark("making a file");
  const descriptor file = make_file();
  constexpr std::size_t piece_bytes = 20'000;
  const unsigned pieces = 2 + mine.draw(6);
  const unsigned seed = mine.draw(1'000);
  crowd writers;
  for (unsigned i = 0; i < pieces; ++i) {
    writers.add([&, i] { write_piece(file.get(), seed, i * piece_bytes, piece_bytes); });
  }
  mine.mark("writing");
  writers.join();
  mine.count(written, pieces);
  crowd others;
  others.add([&] {
    SOAK_MUST(seed % 2 == 0 ? io::fsync(file.get()) : io::fdatasync(file.get()));
    mine.count(synced);
  });
  others.add([&] { ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED); });
  for (unsigned i = 0; i < pieces; ++i) {
    others.add([&, i] { read_piece(file.get(), seed, i * piece_bytes, piece_bytes); });
  }
  others.add([&, span = mine.draw(300)] {
    read_in_time(mine, file.get(), seed, pieces * piece_bytes, span);
  });
  if (mine.draw(4) == 0) others.add([&mine] { look_up(mine); });
  mine.mark("reading back");
  others.join();
  mine.count(read_back, pieces);
}

}  // namespace

const part full_disk{"full-disk", needs::nothing, 1, {"refused", "kept"}, log_turn};
const part files{
    "files", needs::nothing, 1, {"written", "read", "synced", "looked-up", "in-time"}, file_turn};

}  // namespace soak
