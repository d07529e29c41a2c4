// A file without a name in the folder one stands in: what the workloads with files read and write.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>

namespace treadle::bench {

class scratch_file {
 public:
  scratch_file() : descriptor_(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
    if (descriptor_ < 0) fail("open with O_TMPFILE");
  }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  ~scratch_file() { close(descriptor_); }

  int descriptor() const { return descriptor_; }

  void write_at(long offset, std::span<const std::byte> bytes) const {
    const ssize_t done = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (done != static_cast<ssize_t>(bytes.size())) fail("pwrite");
  }
  void sync() const {
    if (fsync(descriptor_) != 0) fail("fsync");
  }
  /// Reads one byte of each page, none of which is in memory.
  void touch_cold_pages(std::size_t bytes) const {
    sync();
    posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
    void* const mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (mapped == MAP_FAILED) fail("mmap");
    madvise(mapped, bytes, MADV_RANDOM);
    const volatile char* const pages = static_cast<const char*>(mapped);
    int sum = 0;
    for (std::size_t at = 0; at < bytes; at += 4096) sum += pages[at];
    static_cast<void>(sum);
    munmap(mapped, bytes);
  }

 private:
  [[noreturn]] static void fail(const char* call) {
    throw std::system_error(errno, std::generic_category(), call);
  }
  int descriptor_;
};

}  // namespace treadle::bench
