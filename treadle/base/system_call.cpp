#include "treadle/base/system_call.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "treadle/base/atomic.hpp"
#include "treadle/base/check.hpp"
#include "treadle/base/clock.hpp"

namespace treadle::base {
namespace {

constexpr std::size_t call_count = static_cast<std::size_t>(faulty_call::count);

// One line per kind of call. Everything is an atomic of its own, as tests set faults while other
// kernel threads make calls; a set that is seen in part only makes the injected fault inexact.
struct fault {
  atomic<std::uint64_t> made{0};
  atomic<std::uint64_t> nth{0};
  atomic<int> error{0};
  atomic<bool> onward{false};
};

fault faults[call_count];
atomic<bool> environment_read{false};
atomic<bool> batches_refused{false};

struct call_name {
  const char* text;
  int usual_error;  // what the kernel would most likely answer
};
constexpr call_name call_names[call_count] = {
    {"mmap", ENOMEM},           {"madvise", ENOMEM},
    {"mprotect", ENOMEM},       {"thread_create", EAGAIN},
    {"io_uring_setup", ENOSYS}, {"epoll_create", EMFILE},
    {"epoll_ctl", ENOMEM},      {"eventfd", EMFILE},
    {"membarrier", ENOSYS},     {"perf_event_open", EACCES},
    {"close_range", ENOSYS},    {"idle_class", EPERM},
    {"task_syscall", EACCES},   {"timer_create", EAGAIN},
    {"set_urgency", EACCES}};

struct error_name {
  const char* text;
  int value;
};
constexpr error_name error_names[] = {{"EINVAL", EINVAL}, {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN},
                                      {"EPERM", EPERM},   {"ENOSYS", ENOSYS}, {"EACCES", EACCES},
                                      {"EMFILE", EMFILE}, {"ENOSPC", ENOSPC}};

class errno_keeper {
 public:
  errno_keeper() noexcept : kept_(errno) {}
  ~errno_keeper() { errno = kept_; }
  errno_keeper(const errno_keeper&) = delete;
  errno_keeper& operator=(const errno_keeper&) = delete;

 private:
  int kept_;
};

void set_fault(faulty_call call, std::uint64_t nth, int error, bool onward) noexcept {
  fault& set = faults[static_cast<std::size_t>(call)];
  // relaxed: error and onward are published by the store to nth below.
  set.nth.store(0, relaxed);
  set.error.store(error, relaxed);
  set.onward.store(onward, relaxed);
  set.made.store(0, relaxed);
  // pairs with the load in injected(), publishes error, onward and made.
  set.nth.store(nth, release);
}

bool starts_with(const char*& text, const char* word) noexcept {
  const std::size_t length = std::strlen(word);
  if (std::strncmp(text, word, length) != 0) return false;
  text += length;
  return true;
}

bool read_number(const char*& text, std::uint64_t* number) noexcept {
  if (*text < '0' || *text > '9') return false;
  *number = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    *number = *number * 10 + static_cast<std::uint64_t>(*text - '0');
  }
  return true;
}

bool read_error(const char*& text, int* error) noexcept {
  for (const error_name& name : error_names) {
    if (starts_with(text, name.text)) {
      *error = name.value;
      return true;
    }
  }
  std::uint64_t number = 0;
  if (!read_number(text, &number)) return false;
  *error = static_cast<int>(number);
  return true;
}

bool read_fault(const char*& text) noexcept {
  for (std::size_t i = 0; i < call_count; ++i) {
    const char* rest = text;
    if (!starts_with(rest, call_names[i].text) || !starts_with(rest, ":")) continue;
    std::uint64_t nth = 0;
    int error = call_names[i].usual_error;
    if (!read_number(rest, &nth)) return false;
    const bool onward = starts_with(rest, "+");
    if (starts_with(rest, ":") && !read_error(rest, &error)) return false;
    if (*rest != '\0' && *rest != ',') return false;
    set_fault(static_cast<faulty_call>(i), nth, error, onward);
    text = rest;
    return true;
  }
  return false;
}

void read_environment() noexcept {
  // relaxed: a look before the exchange, so that the common path writes no shared line.
  if (environment_read.load(relaxed)) return;
  // relaxed: who comes second only misses a fault, and tests set the variable before the start.
  if (environment_read.exchange(true, relaxed)) return;
  const char* text = std::getenv("TREADLE_FAULT");
  if (text != nullptr) set_faults(text);
}

// The error that this call has to report instead of going to the kernel, or 0.
int injected(faulty_call call) noexcept {
  read_environment();
  fault& set = faults[static_cast<std::size_t>(call)];
  // pairs with the last store in set_fault(), which published error and onward.
  const std::uint64_t nth = set.nth.load(acquire);
  // relaxed: a counter that orders nothing else.
  const std::uint64_t made = set.made.fetch_add(1, relaxed) + 1;
  if (nth == 0 || made < nth) return 0;
  // relaxed: published by nth.
  if (made > nth && !set.onward.load(relaxed)) return 0;
  return set.error.load(relaxed);
}

// How many of the ranges one process_madvise() advised; 0 where the kernel does not offer it.
std::size_t advise_at_once(const iovec* ranges, std::size_t count, int advice) noexcept {
#if defined(SYS_process_madvise)
  // Sourced: PIDFD_SELF_THREAD_GROUP of linux/pidfd.h, Linux 6.14; older kernels say EBADF.
  constexpr long own_process = -10001;
  if (count < 2 || batches_refused.load(relaxed)) return 0;  // relaxed: only a hint
  const long bytes = ::syscall(SYS_process_madvise, own_process, ranges, count, advice, 0UL);
  if (bytes <= 0) {
    // EINVAL may be about this advice only, and the answer about single ranges will tell.
    if (errno == EBADF || errno == ENOSYS || errno == EPERM) {
      batches_refused.store(true, relaxed);  // relaxed: only a hint
    }
    return 0;
  }
  std::size_t done = 0;
  for (auto rest = static_cast<std::size_t>(bytes); done < count && ranges[done].iov_len <= rest;) {
    rest -= ranges[done++].iov_len;
  }
  return done;
#else
  return 0;
#endif
}

}  // namespace

int injected_fault(faulty_call call) noexcept { return injected(call); }

void fail_nth(faulty_call call, std::uint64_t nth, int error) noexcept {
  read_environment();  // so that the variable cannot undo later what a test says here
  set_fault(call, nth, error, false);
}

void fail_from(faulty_call call, std::uint64_t nth, int error) noexcept {
  read_environment();
  set_fault(call, nth, error, true);
}

std::uint64_t calls_made(faulty_call call) noexcept {
  // relaxed: a counter that orders nothing else.
  return faults[static_cast<std::size_t>(call)].made.load(relaxed);
}

bool set_faults(const char* text) noexcept {
  const errno_keeper keeper;
  for (const char* rest = text; *rest != '\0';) {
    if (!read_fault(rest)) {
      say("TREADLE_FAULT is malformed; allowed: a list of call:n[+][:error], where call is mmap, "
          "madvise, mprotect, thread_create, io_uring_setup, epoll_create, epoll_ctl or eventfd");
      return false;
    }
    if (*rest == ',') ++rest;
  }
  return true;
}

mapping_result map_memory(void* wanted, std::size_t bytes, int protection, int flags) noexcept {
  if (const int error = injected(faulty_call::mmap)) return {nullptr, error};
  const errno_keeper keeper;
  void* address = ::mmap(wanted, bytes, protection, flags, -1, 0);
  if (address == MAP_FAILED) return {nullptr, errno};
  return {address, 0};
}

int unmap_memory(void* address, std::size_t bytes) noexcept {
  const errno_keeper keeper;
  return ::munmap(address, bytes) == 0 ? 0 : errno;
}

int protect_memory(void* address, std::size_t bytes, int protection) noexcept {
  if (const int error = injected(faulty_call::mprotect)) return error;
  const errno_keeper keeper;
  return ::mprotect(address, bytes, protection) == 0 ? 0 : errno;
}

int advise_memory(void* address, std::size_t bytes, int advice) noexcept {
  if (const int error = injected(faulty_call::madvise)) return error;
  const errno_keeper keeper;
  return ::madvise(address, bytes, advice) == 0 ? 0 : errno;
}

batch_result advise_batch(const iovec* ranges, std::size_t count, int advice) noexcept {
  const errno_keeper keeper;
  std::size_t allowed = 0;
  int fault_error = 0;
  while (allowed < count && (fault_error = injected(faulty_call::madvise)) == 0) ++allowed;
  std::size_t done = advise_at_once(ranges, allowed, advice);
  // One by one where the kernel does not take a batch; also tells why a batch stopped.
  for (; done < allowed; ++done) {
    if (::madvise(ranges[done].iov_base, ranges[done].iov_len, advice) != 0) return {done, errno};
  }
  return {done, fault_error};
}

int create_kernel_thread(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                         void* argument) noexcept {
  if (const int error = injected(faulty_call::thread_create)) return error;
  const errno_keeper keeper;
  return ::pthread_create(thread, attributes, body, argument);
}

int set_up_ring(unsigned entries, io_uring_params* wanted, int* descriptor) noexcept {
  if (const int error = injected(faulty_call::io_uring_setup)) return error;
  const errno_keeper keeper;
  *descriptor = static_cast<int>(::syscall(SYS_io_uring_setup, entries, wanted));
  return *descriptor >= 0 ? 0 : errno;
}

int enter_ring(int ring, unsigned submit, unsigned wait, unsigned flags) noexcept {
  const errno_keeper keeper;
  const long result = ::syscall(SYS_io_uring_enter, ring, submit, wait, flags, nullptr, 0);
  return result >= 0 ? static_cast<int>(result) : -errno;
}

int enter_ring_for(int ring, unsigned submit, std::int64_t nanoseconds) noexcept {
  const errno_keeper keeper;
  __kernel_timespec span{};
  span.tv_sec = nanoseconds / nanoseconds_per_second;
  span.tv_nsec = nanoseconds % nanoseconds_per_second;
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<std::uintptr_t>(&span);
  const long result =
      ::syscall(SYS_io_uring_enter, ring, submit, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                &argument, sizeof(argument));
  return result >= 0 ? static_cast<int>(result) : -errno;
}

int register_ring(int ring, unsigned what, void* with, unsigned count) noexcept {
  const errno_keeper keeper;
  const long result = ::syscall(SYS_io_uring_register, ring, what, with, count);
  return result >= 0 ? static_cast<int>(result) : -errno;
}

descriptor_result create_epoll() noexcept {
  if (const int error = injected(faulty_call::epoll_create)) return {-1, error};
  const errno_keeper keeper;
  const int made = ::epoll_create1(EPOLL_CLOEXEC);
  return {made, made >= 0 ? 0 : errno};
}

descriptor_result create_eventfd() noexcept {
  if (const int error = injected(faulty_call::eventfd)) return {-1, error};
  const errno_keeper keeper;
  const int made = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return {made, made >= 0 ? 0 : errno};
}

int duplicate_high(int number) noexcept {
  // Guess: high enough for most programs, and the kernel's table of so many takes 8 KiB.
  constexpr rlim_t floor_max = 1024;
  const errno_keeper keeper;
  rlimit allowed{};
  if (::getrlimit(RLIMIT_NOFILE, &allowed) != 0) return -1;
  const rlim_t half = allowed.rlim_cur / 2;
  return ::fcntl(number, F_DUPFD_CLOEXEC, static_cast<int>(half < floor_max ? half : floor_max));
}

int leave_descriptors() noexcept {
  if (const int error = injected(faulty_call::close_range)) return error;
#if defined(TREADLE_TSAN) || defined(TREADLE_ASAN)
  constexpr unsigned first = STDERR_FILENO + 1;
#else
  constexpr unsigned first = 0;
#endif
  const errno_keeper keeper;
  const long result = ::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_UNSHARE);
  return result == 0 ? 0 : errno;
}

int control_epoll(int epoll, int operation, int descriptor, epoll_event* event) noexcept {
  if (const int error = injected(faulty_call::epoll_ctl)) return error;
  const errno_keeper keeper;
  return ::epoll_ctl(epoll, operation, descriptor, event) == 0 ? 0 : errno;
}

std::size_t page_bytes() noexcept {
  static atomic<std::size_t> known{0};
  // relaxed: every writer stores the same number.
  std::size_t bytes = known.load(relaxed);
  if (bytes == 0) {
    bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    known.store(bytes, relaxed);
  }
  return bytes;
}

}  // namespace treadle::base
