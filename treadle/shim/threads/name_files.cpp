#include "treadle/shim/threads/name_files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "treadle/shim/calls/calls.hpp"
#include "treadle/shim/kernel_call.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/program_thread.hpp"

namespace treadle::shim {
namespace {

struct open_file {
  int descriptor = -1;
  int thread = 0;
};

// Guess: libc has one for some microseconds; more at once are written to in vain.
constexpr unsigned open_most = 16;

constinit base::spin_lock lock;
constinit open_file files[open_most];  // guarded by lock
constinit base::atomic<unsigned> open_count{0};

// With the lock held.
open_file* find(int descriptor) noexcept {
  for (open_file& one : files) {
    if (one.descriptor == descriptor) return &one;
  }
  return nullptr;
}

bool skip(const char*& at, const char* word) noexcept {
  const std::size_t size = std::strlen(word);
  if (std::strncmp(at, word, size) != 0) return false;
  at += size;
  return true;
}

bool skip_number(const char*& at, int& number) noexcept {
  const char* const first = at;
  number = 0;
  while (*at >= '0' && *at <= '9' && number < 100'000'000) number = number * 10 + (*at++ - '0');
  return at != first;
}

// The thread whose name is meant, or 0.
int thread_in(const char* path) noexcept {
  int number = 0;
  if (!skip(path, "/proc/")) return 0;
  if (!skip(path, "self/") && !skip(path, "thread-self/")) {
    if (!skip_number(path, number) || number != kernel_call(SYS_getpid)) return 0;
    if (!skip(path, "/")) return 0;
  }
  if (!skip(path, "task/") || !skip_number(path, number)) return 0;
  return std::strcmp(path, "/comm") == 0 ? number : 0;
}

long open_name(int thread, std::uint64_t flags) noexcept {
  char line[17] = {};
  {
    const base::guard hold(threads().lock);
    const program_thread* which = threads().find(thread);
    if (which == nullptr) return -ENOENT;
    std::memcpy(line, which->traits.name, 16);
  }
  const std::size_t size = std::strlen(line);
  line[size] = '\n';
  const long file =
      kernel_call(SYS_memfd_create, "comm", (flags & O_CLOEXEC) != 0 ? MFD_CLOEXEC : 0);
  if (file < 0) return file;
  kernel_call(SYS_pwrite64, file, line, size + 1, 0);
  if ((flags & O_ACCMODE) == O_RDONLY) return file;
  const base::guard hold(lock);
  if (open_file* place = find(-1)) {
    *place = {static_cast<int>(file), thread};
    open_count.store(open_count.load(base::relaxed) + 1, base::relaxed);  // relaxed: see below
  }
  return file;
}

}  // namespace

long serve_open(saved_call& call) noexcept {
  const long result = pass_on_blocking(call);
  if (result != -ENOENT) [[likely]]
    return result;
  const bool is_at = call.number == SYS_openat;
  char path[64] = {};  // the longest that is meant has fewer
  const auto* from = reinterpret_cast<const char*>(call.arguments[is_at ? 1 : 0]);
  copy_some(path, from, sizeof(path) - 1);
  const int thread = thread_in(path);
  return thread != 0 ? open_name(thread, call.arguments[is_at ? 2 : 1]) : result;
}

// relaxed: who writes to a descriptor has it from who opened it
bool has_name_files() noexcept { return open_count.load(base::relaxed) != 0; }

bool write_name(int descriptor, const void* text, std::size_t bytes) noexcept {
  if (descriptor < 0) return false;
  char name[16] = {};
  int thread = 0;
  {
    const base::guard hold(lock);
    const open_file* one = find(descriptor);
    if (one == nullptr) return false;
    thread = one->thread;
  }
  const std::size_t size = bytes < sizeof(name) - 1 ? bytes : sizeof(name) - 1;
  if (size != 0 && !copy_all(name, text, size)) return false;  // the kernel says why
  const base::guard hold(threads().lock);
  if (program_thread* which = threads().find(thread)) rename(*which, name, size);
  return true;
}

void forget_name_file(int descriptor) noexcept {
  if (descriptor < 0) return;
  const base::guard hold(lock);
  open_file* const one = find(descriptor);
  if (one == nullptr) return;
  *one = {};
  open_count.store(open_count.load(base::relaxed) - 1, base::relaxed);  // relaxed: see above
}

}  // namespace treadle::shim
