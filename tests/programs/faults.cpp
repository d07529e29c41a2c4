// Works under injected faults: `faults MODEL once` or `faults MODEL leaks CALL ROUNDS`.
//
// once:  one runtime with threads of all kinds, faults from TREADLE_FAULT. Prints the numbers of
//        calls made. Exit code 0: all went well; 3: a std::system_error, whose text is printed.
// leaks: in each round the next call of that kind fails, from the first on; afterwards kernel
//        threads and descriptors must be as many as before, and the address space must stop
//        growing. Exit code 4 and a line when not.
#include <dirent.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <treadle/treadle.hpp>
#include <vector>

#include "treadle/base/system_call.hpp"

namespace {

using treadle::base::faulty_call;

constexpr std::array<std::pair<std::string_view, faulty_call>, 4> calls{{
    {"mmap", faulty_call::mmap},
    {"madvise", faulty_call::madvise},
    {"mprotect", faulty_call::mprotect},
    {"thread_create", faulty_call::thread_create},
}};

// A join for every way out: an exception must not meet a joinable thread.
struct crew {
  std::vector<treadle::thread> members;
  treadle::counting_semaphore<> go{0};
  ~crew() {
    go.release(static_cast<std::ptrdiff_t>(members.size()) + 1);
    for (treadle::thread& t : members) t.join();
  }
};

int work() {
  std::atomic<int> sum{0};
  crew all;
  for (int i = 0; i < 150; ++i) {
    treadle::thread_attributes attributes;
    if (i % 10 == 1) attributes.stack_bytes = 32 * 1024;
    if (i % 10 == 2) attributes.stack_bytes = 1024 * 1024;
    if (i % 25 == 3) attributes.scope = treadle::contention_scope::system;
    all.members.emplace_back(attributes, [&] {
      all.go.acquire();
      sum.fetch_add(1);
    });
  }
  {
    treadle::scope forks;
    for (int i = 0; i < 20; ++i) forks.spawn([&sum] { sum.fetch_add(1); });
    forks.join();
  }
  all.go.release(static_cast<std::ptrdiff_t>(all.members.size()));
  for (treadle::thread& t : all.members) t.join();
  all.members.clear();
  return sum;
}

// 0: worked; 3: refused in the way that is promised; 1: anything else.
int attempt(treadle::model model, bool talk) {
  try {
    treadle::runtime_options options;
    options.model = model;
    if (model == treadle::model::many_to_many) options.width = 3;
    treadle::runtime rt(options);
    const int sum = rt.run(work);
    if (sum == 170) return 0;
    std::printf("a wrong sum: %d\n", sum);
    return 1;
  } catch (const std::system_error& error) {
    if (talk) std::printf("system_error: %s\n", error.what());
    return 3;
  }
}

struct footprint {
  long kernel_threads = 0;
  long address_space_kib = 0;
  long descriptors = 0;
};

footprint measure() {
  footprint now;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Threads:")) now.kernel_threads = std::stol(line.substr(8));
    if (line.starts_with("VmSize:")) now.address_space_kib = std::stol(line.substr(7));
  }
  DIR* open = ::opendir("/proc/self/fd");
  while (::readdir(open) != nullptr) ++now.descriptors;
  ::closedir(open);
  return now;
}

// pthread_join comes back a moment before the kernel takes the thread off its list; a standby is of
// the idle class, and that moment is long where others keep the CPUs busy.
footprint measure_with(long kernel_threads) {
  footprint now = measure();
  for (int look = 0; look < 50'000 && now.kernel_threads != kernel_threads; ++look) {
    ::usleep(200);
    now = measure();
  }
  return now;
}

int leaks(treadle::model model, faulty_call call, int rounds) {
  const long threads_at_first = measure().kernel_threads;
  // The first runs fill what stays for the life of the process: arenas, records, libc's caches.
  for (int i = 0; i < 3; ++i) {
    if (attempt(model, false) != 0) return 1;
  }
  const footprint before = measure_with(threads_at_first);
  long after_half = 0;
  int refused = 0;
  for (int round = 1; round <= rounds; ++round) {
    // First the calls in order, then the same again: what leaks shows in the second half.
    const int half = rounds / 2;
    treadle::base::fail_nth(call, static_cast<std::uint64_t>((round - 1) % half + 1), ENOMEM);
    const int result = attempt(model, false);
    treadle::base::fail_nth(call, 0, 0);
    if (result == 1) return 1;
    if (result == 3) ++refused;
    const footprint now = measure_with(before.kernel_threads);
    if (now.kernel_threads != before.kernel_threads) {
      std::printf("round %d: %ld kernel threads, before %ld\n", round, now.kernel_threads,
                  before.kernel_threads);
      return 4;
    }
    if (now.descriptors != before.descriptors) {
      std::printf("round %d: %ld descriptors, before %ld\n", round, now.descriptors,
                  before.descriptors);
      return 4;
    }
    if (round == half) after_half = now.address_space_kib;
  }
  const footprint after = measure();
  std::printf("refused %d of %d, address space %ld KiB, at half %ld, at the end %ld\n", refused,
              rounds, before.address_space_kib, after_half, after.address_space_kib);
#if !defined(TREADLE_SANITIZED)
  // Guess: one arena of glibc's malloc (64 MiB) may come late; a leaked runtime a round is more.
  constexpr long slack_kib = 80 * 1024;
  if (after.address_space_kib > after_half + slack_kib) {
    std::printf("the address space grows\n");
    return 4;
  }
#endif
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const treadle::model model = treadle::parse_model(argv[1]);
  if (std::string_view(argv[2]) == "once") {
    const int result = attempt(model, true);
    for (const auto& [name, call] : calls) {
      std::printf("%s=%llu\n", std::string(name).c_str(),
                  static_cast<unsigned long long>(treadle::base::calls_made(call)));
    }
    return result;
  }
  if (argc != 5) return 2;
  for (const auto& [name, call] : calls) {
    if (name == argv[3]) return leaks(model, call, std::atoi(argv[4]));
  }
  return 2;
}
