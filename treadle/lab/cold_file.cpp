#include "treadle/lab/cold_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace treadle::lab {
namespace {

// From one page that is touched to the next, so that what is read ahead or around a fault does not
// bring in others. Guess: the kernel reads at most 128 KiB around a fault by default.
constexpr std::size_t stride_bytes = std::size_t{256} << 10;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

cold_file::cold_file(std::size_t pages) : bytes_(pages * stride_bytes) {
  // Not TMPDIR: /tmp is often in memory.
  char path[] = "/var/tmp/treadle-lab-XXXXXX";
  number_ = ::mkostemp(path, O_CLOEXEC);
  if (number_ < 0) fail("a file in /var/tmp");
  ::unlink(path);
  const std::vector<char> content(stride_bytes, 'x');
  for (std::size_t page = 0; page < pages; ++page) {
    if (::write(number_, content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
      const int error = errno;
      ::close(number_);
      errno = error;
      fail("writing a file in /var/tmp");
    }
  }
  // Pages that are not on the disk yet stay in memory.
  ::fsync(number_);
  map();
}

cold_file::~cold_file() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
  ::close(number_);
}

void cold_file::map() {
  void* const mapped = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, number_, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  memory_ = static_cast<std::byte*>(mapped);
  ::madvise(memory_, bytes_, MADV_RANDOM);
}

void cold_file::touch(std::size_t page) const {
  // Volatile, or the compiler would leave the read out.
  (void)*static_cast<const volatile std::byte*>(memory_ + page * stride_bytes);
}

void cold_file::forget() {
  // Mapped pages would stay.
  ::munmap(memory_, bytes_);
  memory_ = nullptr;
  ::posix_fadvise(number_, 0, 0, POSIX_FADV_DONTNEED);
  map();
}

}  // namespace treadle::lab
