#include "treadle/shim/stats.hpp"

#include <fcntl.h>
#include <sys/syscall.h>

#include <cstdio>

#include "treadle/runtime.hpp"
#include "treadle/shim/door/patch.hpp"
#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/takeover.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {
void write_stats() noexcept {
  const char* file = chosen().stats_file;
  if (file == nullptr) return;
  const long descriptor =
      kernel_call(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) return;
  char text[1024];
  const runtime* run = own_runtime();
  const runtime_counters all = run != nullptr ? run->counters() : runtime_counters{};
  std::uint64_t calls = 0;
  std::uint64_t avoided = 0;
  for (const seat* one = first_seat(); one != nullptr; one = one->next) {
    calls += one->calls;
    avoided += one->avoided;
  }
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  const int size = std::snprintf(
      text, sizeof(text),
      "process %ld\nmodel %s\nworkers %u\nthreads_created %llu\nthreads_most %u\n"
      "patched_sites %d\ncalls %llu\ncalls_without_kernel %llu\npreemptions %llu\nreliefs %llu\n"
      "steals %llu\nsleeps %llu\n",
      kernel_call(SYS_getpid), run != nullptr ? to_string(run->model()).data() : "native",
      run != nullptr ? run->width() : 0, number(threads().created()), threads().most(),
      patched_sites(), number(calls), number(avoided), number(all.preemptions), number(all.reliefs),
      number(all.steals), number(all.sleeps));
  if (size > 0) kernel_call(SYS_write, descriptor, text, size);
  kernel_call(SYS_close, descriptor);
}

}  // namespace treadle::shim
