#include "treadle/lab/outside.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <system_error>
#include <vector>

#include "treadle/lab/stopwatch.hpp"

namespace treadle::lab {
namespace {

// So that the disk has something to do: as much as makes a call this long, but no more than the
// most. Guess: three times the shortest that shows a stall, as disks are fickle.
constexpr double length_wanted = 30e6;
constexpr std::size_t file_bytes_first = std::size_t{16} << 20;
constexpr std::size_t file_bytes_most = std::size_t{256} << 20;

constexpr std::size_t piece_bytes = std::size_t{1} << 20;

std::size_t enough_bytes(const std::function<void(std::size_t)>& prepare,
                         const std::function<void(std::size_t)>& call) {
  for (std::size_t bytes = file_bytes_first;; bytes *= 2) {
    prepare(bytes);
    const stopwatch watch;
    call(bytes);
    if (watch.nanoseconds() >= length_wanted || bytes >= file_bytes_most) return bytes;
  }
}

std::size_t remembered(lab_context& lab, const char* name,
                       const std::function<std::size_t()>& find) {
  const sample known =
      lab.quantity(name, [&] { return sample::once(static_cast<double>(find())); });
  return static_cast<std::size_t>(known.median);
}

}  // namespace

void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

file_lock::file_lock()
    : holder_(::mkostemp(path_, O_CLOEXEC)), waiter_(::open(path_, O_RDWR | O_CLOEXEC)) {
  ::unlink(path_);
}

void file_lock::take_away() const {
  ::flock(waiter_.get(), LOCK_UN);
  if (::flock(holder_.get(), LOCK_EX) != 0) fail("flock");
}

void file_lock::give_back() const { ::flock(holder_.get(), LOCK_UN); }

void file_lock::wait() const {
  if (::flock(waiter_.get(), LOCK_EX) != 0) fail("flock");
}

int make_disk_file() {
  char path[] = "/var/tmp/treadle-lab-XXXXXX";
  const int made = ::mkostemp(path, O_CLOEXEC);
  if (made >= 0) ::unlink(path);
  return made;
}

void write_file(const file& target, std::size_t bytes) {
  const std::vector<char> content(piece_bytes, 'x');
  if (::lseek(target.get(), 0, SEEK_SET) != 0) fail("lseek");
  for (std::size_t done = 0; done < bytes; done += content.size()) {
    if (::write(target.get(), content.data(), content.size()) < 0) fail("write");
  }
}

void flush_file(const file& target) {
  if (::fsync(target.get()) != 0) fail("fsync");
}

void make_cold(const file& target) {
  flush_file(target);
  if (const int error = ::posix_fadvise(target.get(), 0, 0, POSIX_FADV_DONTNEED)) {
    errno = error;
    fail("posix_fadvise");
  }
}

void read_file(const file& target, std::size_t bytes) {
  std::vector<char> piece(piece_bytes);
  for (std::size_t done = 0; done < bytes; done += piece.size()) {
    if (::pread(target.get(), piece.data(), piece.size(), static_cast<off_t>(done)) < 0) {
      fail("pread");
    }
  }
}

std::size_t bytes_for_fsync(lab_context& lab, const file& target) {
  return remembered(lab, "fsync bytes", [&] {
    return enough_bytes([&](std::size_t bytes) { write_file(target, bytes); },
                        [&](std::size_t) { flush_file(target); });
  });
}

std::size_t bytes_for_cold_read(lab_context& lab, const file& target) {
  return remembered(lab, "cold read bytes", [&] {
    return enough_bytes(
        [&](std::size_t bytes) {
          write_file(target, bytes);
          make_cold(target);
        },
        [&](std::size_t bytes) { read_file(target, bytes); });
  });
}

}  // namespace treadle::lab
