#include "treadle/sched/blocked_probe.hpp"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "treadle/base/clock.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::core {
namespace {

// Sourced: perf_event_open(2) wants a page of description and 2^n pages of records.
constexpr std::size_t ring_pages = 2;
// Sourced: a record of a switch has nothing but its header.
constexpr std::uint64_t record_bytes = sizeof(perf_event_header);

// The state comes first: "running", or the number of the call.
bool read_state(int file, char& first) noexcept {
  char text[8];
  if (::syscall(SYS_pread64, file, text, sizeof(text), 0) <= 0) return false;
  first = text[0];
  return true;
}

bool is_switch_out(const perf_event_header& record) noexcept {
  return record.type == PERF_RECORD_SWITCH && (record.misc & PERF_RECORD_MISC_SWITCH_OUT) != 0 &&
         (record.misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) == 0;
}

}  // namespace

// By whoever ends it last: nobody asks any more.
blocked_probe::~blocked_probe() {
  // relaxed: see above
  if (const void* ring = ring_.load(base::relaxed)) {
    ::munmap(const_cast<void*>(ring), ring_pages * base::page_bytes());
  }
}

void blocked_probe::begin() noexcept {
  if (__rseq_size != 0) {
    const auto* own = static_cast<const std::byte*>(__builtin_thread_pointer()) + __rseq_offset;
    // release: pairs with cpu()
    cpu_.store(&reinterpret_cast<const struct rseq*>(own)->cpu_id, base::release);
  }
  kernel_id_.store(::gettid(), base::release);  // pairs with kernel_id()
}

activation_level blocked_probe::open(activation_level first) noexcept {
  const int saved = errno;
  const bool has_ring = first == activation_level::perf && open_ring();
  // With the ring, too: it does not say how things were before there was one.
  const bool has_file = open_file();
  activation_level found = activation_level::off;
  if (has_ring || (!has_file && first != activation_level::perf && open_ring())) {
    found = activation_level::perf;
  } else if (has_file) {
    found = activation_level::proc;
  }
  errno = saved;
  return found;
}

bool blocked_probe::open_ring() noexcept {
  if (ring_.load(base::relaxed) != nullptr) return true;  // relaxed: the watcher's own
  if (base::injected_fault(base::faulty_call::perf_event_open) != 0) return false;
  perf_event_attr wanted;
  std::memset(&wanted, 0, sizeof(wanted));
  wanted.size = sizeof(wanted);
  wanted.type = PERF_TYPE_SOFTWARE;
  wanted.config = PERF_COUNT_SW_DUMMY;
  wanted.context_switch = 1;
  wanted.exclude_kernel = 1;  // else paranoid level 2 refuses
  wanted.exclude_hv = 1;
  wanted.watermark = 1;
  wanted.wakeup_watermark = 1U << 30;  // more than the ring has: never a wake-up
  const long event = ::syscall(SYS_perf_event_open, &wanted, kernel_id(), -1, -1,
                               static_cast<long>(PERF_FLAG_FD_CLOEXEC));
  if (event < 0) return false;
  const long memory = ::syscall(SYS_mmap, nullptr, ring_pages * base::page_bytes(), PROT_READ,
                                MAP_SHARED, static_cast<int>(event), 0);
  ::syscall(SYS_close, static_cast<int>(event));  // the mapping keeps the event
  if (memory == -1) return false;
  ring_.store(reinterpret_cast<void*>(memory), base::release);  // pairs with is_blocked()
  return true;
}

bool blocked_probe::open_file() noexcept {
  if (base::injected_fault(base::faulty_call::task_syscall) != 0) return false;
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", static_cast<int>(kernel_id()));
  const long opened = ::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (opened < 0) return false;
  const int file = static_cast<int>(opened);
  // The kernel may have the file and yet not tell.
  char state = 0;
  if (!read_state(file, state)) {
    ::syscall(SYS_close, file);
    return false;
  }
  file_.store(file, base::release);  // pairs with is_blocked()
  return true;
}

void blocked_probe::close_file() noexcept {
  const int saved = errno;
  const int file = file_.exchange(-1, base::relaxed);  // relaxed: whoever asks has ended
  if (file >= 0) ::syscall(SYS_close, file);
  errno = saved;
}

// The last record, or null where there is none yet.
const perf_event_header* blocked_probe::last_switch() const noexcept {
  const void* ring = ring_.load(base::acquire);  // pairs with open_ring()
  if (ring == nullptr) return nullptr;
  const auto* page = static_cast<const perf_event_mmap_page*>(ring);
  // acquire: pairs with the kernel's publication of the record
  const std::uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
  if (head < record_bytes) return nullptr;
  const auto* records = static_cast<const std::byte*>(ring) + base::page_bytes();
  return reinterpret_cast<const perf_event_header*>(records +
                                                    (head - record_bytes) % base::page_bytes());
}

bool blocked_probe::is_open() const noexcept {
  // relaxed: a guess
  return file_.load(base::relaxed) >= 0 || last_switch() != nullptr;
}

bool blocked_probe::is_blocked() const noexcept {
  if (const perf_event_header* last = last_switch()) return is_switch_out(*last);
  const int file = file_.load(base::acquire);  // pairs with open_file()
  if (file < 0) return false;
  const int saved = errno;
  char state = 0;
  const bool known = read_state(file, state);
  errno = saved;
  return known && state != 'r';
}

std::int64_t blocked_probe::time_run() const noexcept {
  // Sourced: how the kernel makes a clock's number of a thread's; pthread_getcpuclockid() would
  // want a pthread_t.
  constexpr unsigned thread_clock = 4 | 2;  // of a thread; what the scheduler has counted
  const auto clock =
      static_cast<clockid_t>(~static_cast<unsigned>(kernel_id()) << 3 | thread_clock);
  const int saved = errno;
  timespec run{};
  const bool known = ::clock_gettime(clock, &run) == 0;
  errno = saved;
  return known ? run.tv_sec * base::nanoseconds_per_second + run.tv_nsec : -1;
}

bool blocked_probe::is_blocked_still(std::int64_t time_run_then) const noexcept {
  if (const perf_event_header* last = last_switch()) return is_switch_out(*last);
  return time_run() == time_run_then;
}

int blocked_probe::cpu() const noexcept {
  const std::uint32_t* note = cpu_.load(base::acquire);  // pairs with begin()
  if (note == nullptr) return -1;
  // relaxed: the kernel writes it at any time; a guess
  return static_cast<int>(__atomic_load_n(note, __ATOMIC_RELAXED));
}

}  // namespace treadle::core
