#include "treadle/lab/slow_pages.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "treadle/base/system_call.hpp"
#include "treadle/lab/ticker.hpp"

namespace treadle::lab {
namespace {

// Sourced: UFFD_USER_MODE_ONLY of linux/userfaultfd.h, Linux 5.11: needs no privilege.
constexpr int user_mode_only = 1;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

slow_pages::slow_pages(std::size_t pages, unsigned servers, double nanoseconds)
    : bytes_(pages * base::page_bytes()), nanoseconds_(nanoseconds) {
  try {
    faults_ = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_mode_only));
    if (faults_ < 0) fail("userfaultfd");
    uffdio_api version{};
    version.api = UFFD_API;
    if (::ioctl(faults_, UFFDIO_API, &version) != 0) fail("UFFDIO_API");
    void* const mapped =
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) fail("mmap");
    memory_ = static_cast<std::byte*>(mapped);
    uffdio_register wanted{};
    wanted.range = {reinterpret_cast<std::uintptr_t>(memory_), bytes_};
    wanted.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (::ioctl(faults_, UFFDIO_REGISTER, &wanted) != 0) fail("UFFDIO_REGISTER");
    end_ = ::eventfd(0, EFD_CLOEXEC);
    if (end_ < 0) fail("eventfd");
    for (unsigned index = 0; index < servers; ++index) servers_.emplace_back([this] { serve(); });
  } catch (...) {
    close_all();
    throw;
  }
}

slow_pages::~slow_pages() { close_all(); }

void slow_pages::close_all() {
  if (end_ >= 0) {
    // It is read by nobody: every server sees it.
    const std::uint64_t one = 1;
    (void)!::write(end_, &one, sizeof(one));
  }
  for (std::thread& each : servers_) each.join();
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
  if (faults_ >= 0) ::close(faults_);
  if (end_ >= 0) ::close(end_);
}

void slow_pages::touch(std::size_t page) const {
  // Volatile, or the compiler would leave the read out.
  (void)*static_cast<const volatile std::byte*>(memory_ + page * base::page_bytes());
}

void slow_pages::forget() {
  if (::madvise(memory_, bytes_, MADV_DONTNEED) != 0) fail("madvise");
}

void slow_pages::serve() const {
  for (;;) {
    pollfd waiting[2] = {{faults_, POLLIN, 0}, {end_, POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    uffd_msg fault{};
    // Another server may have been faster.
    if (::read(faults_, &fault, sizeof(fault)) != sizeof(fault)) continue;
    if (fault.event != UFFD_EVENT_PAGEFAULT) continue;
    sleep_in_kernel(nanoseconds_);
    const std::uint64_t page = base::page_bytes();
    uffdio_zeropage filled{};
    filled.range = {fault.arg.pagefault.address & ~(page - 1), page};
    if (::ioctl(faults_, UFFDIO_ZEROPAGE, &filled) == 0) continue;
    // Two threads at one page: it is there already, and the second one sleeps on it.
    ::ioctl(faults_, UFFDIO_WAKE, &filled.range);
  }
}

}  // namespace treadle::lab
