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
#include <utility>

#include "treadle/base/system_call.hpp"

namespace treadle::core {
namespace {

// Sourced: perf_event_open(2) wants a page of description and 2^n pages of records.
constexpr std::size_t ring_pages = 2;
// Sourced: a record of a switch has nothing but its header.
constexpr std::uint64_t record_bytes = sizeof(perf_event_header);

}  // namespace

activation_level blocked_probe::open(activation_level highest, pid_t kernel_id,
                                     own_closer closer) noexcept {
  const int saved = errno;
  kernel_id_ = kernel_id;
  if (__rseq_size != 0) {
    const auto* own = static_cast<const std::byte*>(__builtin_thread_pointer()) + __rseq_offset;
    // release: pairs with cpu()
    cpu_.store(&reinterpret_cast<const struct rseq*>(own)->cpu_id, base::release);
  }
  activation_level found = activation_level::off;
  if (highest == activation_level::perf && open_ring(kernel_id, closer)) {
    found = activation_level::perf;
  } else if (highest != activation_level::off && open_file(kernel_id)) {
    found = activation_level::proc;
  }
  errno = saved;
  return found;
}

// The file first: it also says that the thread is blocked already.
void blocked_probe::mend(activation_level highest, own_closer closer) noexcept {
  const int saved = errno;
  if (!open_file(kernel_id_) && highest == activation_level::perf) {
    static_cast<void>(open_ring(kernel_id_, closer));
  }
  errno = saved;
}

bool blocked_probe::open_ring(pid_t kernel_id, own_closer closer) noexcept {
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
  const long event = ::syscall(SYS_perf_event_open, &wanted, kernel_id, -1, -1,
                               static_cast<long>(PERF_FLAG_FD_CLOEXEC));
  if (event < 0) return false;
  const int number = static_cast<int>(event);
  // The descriptor came by a bare system call, so these two are bare as well: ThreadSanitizer,
  // which follows descriptors, would take it for an older one of that number.
  const long memory = ::syscall(SYS_mmap, nullptr, ring_pages * base::page_bytes(), PROT_READ,
                                MAP_SHARED, number, 0);
  // The mapping keeps the event.
  if (closer != nullptr) {
    closer(number);
  } else {
    ::syscall(SYS_close, number);
  }
  if (memory == -1) return false;
  ring_.store(reinterpret_cast<void*>(memory), base::release);  // pairs with is_blocked()
  return true;
}

bool blocked_probe::open_file(pid_t kernel_id) noexcept {
  if (base::injected_fault(base::faulty_call::task_syscall) != 0) return false;
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", static_cast<int>(kernel_id));
  int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  // It stays open: not in the way of the program's own (io/own_descriptor.hpp).
  if (const int high = base::duplicate_high(file); high >= 0) ::close(std::exchange(file, high));
  // The kernel may have the file and yet not tell.
  char text[8];
  if (::pread(file, text, sizeof(text), 0) <= 0) {
    ::close(file);
    return false;
  }
  file_.store(file, base::release);  // pairs with is_blocked()
  return true;
}

void blocked_probe::close() noexcept {
  const int saved = errno;
  // relaxed, all: whoever asks has ended
  if (const void* ring = ring_.exchange(nullptr, base::relaxed)) {
    ::munmap(const_cast<void*>(ring), ring_pages * base::page_bytes());
  }
  const int file = file_.exchange(-1, base::relaxed);
  if (file >= 0) ::close(file);
  cpu_.store(nullptr, base::relaxed);
  errno = saved;
}

bool blocked_probe::is_blocked() const noexcept {
  if (const void* ring = ring_.load(base::acquire)) {  // pairs with open_ring()
    const auto* page = static_cast<const perf_event_mmap_page*>(ring);
    // acquire: pairs with the kernel's publication of the record
    const std::uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    if (head < record_bytes) return false;
    const auto* records = static_cast<const std::byte*>(ring) + base::page_bytes();
    const auto* last = reinterpret_cast<const perf_event_header*>(records + (head - record_bytes) %
                                                                                base::page_bytes());
    return last->type == PERF_RECORD_SWITCH && (last->misc & PERF_RECORD_MISC_SWITCH_OUT) != 0 &&
           (last->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) == 0;
  }
  const int file = file_.load(base::acquire);  // pairs with open_file()
  if (file < 0) return false;
  const int saved = errno;
  char text[8];
  const ssize_t length = ::pread(file, text, sizeof(text), 0);
  errno = saved;
  return length > 0 && text[0] != 'r';  // "running", or a number
}

int blocked_probe::cpu() const noexcept {
  const std::uint32_t* note = cpu_.load(base::acquire);  // pairs with open()
  if (note == nullptr) return -1;
  // relaxed: the kernel writes it at any time; a guess
  return static_cast<int>(__atomic_load_n(note, __ATOMIC_RELAXED));
}

}  // namespace treadle::core
