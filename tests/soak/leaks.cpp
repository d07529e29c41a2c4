#include "tests/soak/leaks.hpp"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <thread>

namespace soak {
namespace {

std::size_t entries_of(const char* path) {
  DIR* const folder = ::opendir(path);
  if (folder == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* one = ::readdir(folder)) count += one->d_name[0] != '.';
  ::closedir(folder);
  return count;
}

// Without io_uring's own, which the kernel makes and ends as it likes.
std::size_t kernel_threads() {
  DIR* const folder = ::opendir("/proc/self/task");
  if (folder == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* one = ::readdir(folder)) {
    if (one->d_name[0] == '.') continue;
    const std::string path = std::string("/proc/self/task/") + one->d_name + "/comm";
    char name[8] = {};
    std::FILE* const file = std::fopen(path.c_str(), "r");
    if (file != nullptr && std::fgets(name, sizeof(name), file) == nullptr) name[0] = '\0';
    if (file != nullptr) std::fclose(file);
    count += std::string_view(name).substr(0, 4) != "iou-";
  }
  ::closedir(folder);
  return count;
}

std::size_t lines_of(const char* path) {
  std::FILE* const file = std::fopen(path, "r");
  if (file == nullptr) return 0;
  std::size_t count = 0;
  for (int c = 0; (c = std::fgetc(file)) != EOF;) count += c == '\n';
  std::fclose(file);
  return count;
}

std::size_t resident() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long all = 0;
  unsigned long pages = 0;
  if (std::fscanf(file, "%lu %lu", &all, &pages) != 2) pages = 0;
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct bound {
  const char* name;
  std::size_t holdings::*what;
  std::size_t slack;  // beyond an eighth: guess, what the caches of a busy runtime differ by
};

constexpr bound bounds[] = {
    {"kernel threads", &holdings::kernel_threads, 16},
    {"descriptors", &holdings::descriptors, 32},
    {"heap bytes", &holdings::heap_bytes, std::size_t{2} << 20},
    {"resident bytes", &holdings::resident_bytes, std::size_t{16} << 20},
    {"mappings", &holdings::mappings, 200},
};

}  // namespace

holdings read_holdings() {
  holdings now;
#if !defined(TREADLE_SANITIZED)
  ::malloc_trim(0);
  const struct mallinfo2 heap = ::mallinfo2();
  now.heap_bytes = heap.uordblks + heap.hblkhd;
  now.resident_bytes = resident();
#else
  static_cast<void>(resident);
#endif
  now.kernel_threads = kernel_threads();
  // The directory that is being read is one of them.
  now.descriptors = entries_of("/proc/self/fd") - 1;
  now.mappings = lines_of("/proc/self/maps");
  return now;
}

std::string describe(const holdings& what) {
  char text[160];
  std::snprintf(text, sizeof(text),
                "%zu kernel threads, %zu descriptors, %zu KiB of heap, %zu KiB resident, "
                "%zu mappings",
                what.kernel_threads, what.descriptors, what.heap_bytes / 1024,
                what.resident_bytes / 1024, what.mappings);
  return text;
}

std::string what_grew(const std::vector<holdings>& rounds) {
  std::string text;
  const std::size_t warm = rounds.size() / 3;
  const std::size_t middle = warm + (rounds.size() - warm) / 2;
  // Guess: fewer readings than that say nothing.
  if (middle - warm < 2) return text;
  for (const bound& one : bounds) {
    const auto least = [&](std::size_t from, std::size_t to) {
      std::size_t low = rounds[from].*one.what;
      for (std::size_t i = from; i < to; ++i) low = std::min(low, rounds[i].*one.what);
      return low;
    };
    const std::size_t early = least(warm, middle);
    const std::size_t late = least(middle, rounds.size());
    if (late <= early + early / 8 + one.slack) continue;
    text += std::string(text.empty() ? "" : ", ") + one.name + " from " + std::to_string(early) +
            " to " + std::to_string(late);
  }
  return text;
}

std::string what_is_left(const holdings& before) {
  // The pool's kernel threads end after five seconds without work: guess, the rest is scheduling.
  constexpr int looks_max = 300;
  // Sourced: as many eventfds the process keeps for kernel threads that wait (kernel_wait.cpp).
  constexpr std::size_t descriptors_kept = 64;
  holdings now;
  for (int i = 0; i < looks_max; ++i) {
    now = read_holdings();
    if (now.kernel_threads <= before.kernel_threads &&
        now.descriptors <= before.descriptors + descriptors_kept) {
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return "before: " + describe(before) + "; after: " + describe(now);
}

}  // namespace soak
