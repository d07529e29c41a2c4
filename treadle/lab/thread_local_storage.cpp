// thread-local: each thread has its own copy, and its own errno, across migration too.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "treadle/base/atomic.hpp"
#include "treadle/lab/all_experiments.hpp"
#include "treadle/lab/human.hpp"
#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/thread.hpp"
#include "treadle/thread_specific.hpp"

namespace treadle::lab {
namespace {

constexpr unsigned threads = 16;

// Until so many moves between kernel threads were seen, or the time is up.
constexpr std::uint64_t moves_wanted = 200;
constexpr double time_max = 400e6;
constexpr std::uint64_t rounds_least = 200;

thread_local long language_copy = 0;

// Never inlined: a compiler may remember the address of a thread_local across a call, and after a
// move that is another kernel thread's copy.
[[gnu::noinline]] void write_copy(long value) {
  language_copy = value;
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] long read_copy() {
  asm volatile("" ::: "memory");
  return language_copy;
}
[[gnu::noinline]] void write_errno(int value) { errno = value; }
[[gnu::noinline]] int read_errno() { return errno; }

struct leaks {
  base::atomic<std::uint64_t> reads{0};
  base::atomic<std::uint64_t> moves{0};
  base::atomic<std::uint64_t> language{0};
  base::atomic<std::uint64_t> library{0};
  base::atomic<std::uint64_t> error_number{0};
};

// Writes its own mark everywhere, lets others run, and looks whether it is still there.
void play(unsigned index, thread_specific<long>& own, leaks& seen, const stopwatch& watch) {
  const long mark = static_cast<long>(index) + 1;
  for (std::uint64_t round = 0;; ++round) {
    const long worker = ::gettid();
    write_copy(mark);
    own.get() = mark;
    write_errno(static_cast<int>(mark));
    // Yields leave a thread where it is as long as its processor is busy; sleeping threads are
    // woken wherever there is room. Unequal work makes room.
    if ((round + index) % 4 == 0) {
      this_thread::sleep_for(std::chrono::microseconds(50));
    } else {
      spin(1000 * (index % 3));
      this_thread::yield();
    }
    const int error_number = read_errno();  // first: the rest may change it
    // relaxed, here and below: plain counts, read after the joins
    seen.reads.fetch_add(1, base::relaxed);
    if (error_number != static_cast<int>(mark)) seen.error_number.fetch_add(1, base::relaxed);
    if (read_copy() != mark) seen.language.fetch_add(1, base::relaxed);
    if (own.get() != mark) seen.library.fetch_add(1, base::relaxed);
    if (::gettid() != worker) seen.moves.fetch_add(1, base::relaxed);
    const bool enough = round >= rounds_least && seen.moves.load(base::relaxed) >= moves_wanted;
    if (enough || watch.nanoseconds() > time_max) return;
  }
}

void run(lab_context& lab) {
  leaks seen;
  runtime own{{.model = lab.model()}};
  own.run([&] {
    thread_specific<long> copies;
    const stopwatch watch;
    std::vector<thread> all;
    for (unsigned index = 0; index < threads; ++index) {
      all.emplace_back([&, index] { play(index, copies, seen, watch); });
    }
    for (thread& each : all) each.join();
  });
  const auto count = [](const base::atomic<std::uint64_t>& of) {
    return sample::once(static_cast<double>(of.load(base::relaxed)));  // relaxed: after the joins
  };
  const std::string moved =
      fmt::format("{} reads, {} moves between kernel threads", human(count(seen.reads).median, ""),
                  human(count(seen.moves).median, ""));
  const prediction none = at_most(0, 1, "each thread has its own copy");
  const std::string model_name(lab.model_name());
  lab.report(judge(lab.of("wrong reads of thread_specific<T>", "reads", "leaks",
                          model_name + " thread_specific"),
                   none, count(seen.library), moved));
  lab.report(judge(lab.of("wrong reads of errno", "reads", "leaks", model_name + " errno"), none,
                   count(seen.error_number), moved));
  lab.report(judge(
      lab.of("wrong reads of C++ thread_local", "reads", "leaks", model_name + " thread_local"),
      none, count(seen.language),
      lab.model() == model::one_to_one
          ? moved
          : moved + "; thread_local belongs to the kernel thread here, which is why Treadle has "
                    "thread_specific<T>"));
}

}  // namespace

const experiment thread_local_storage{
    .id = "thread-local",
    .title = "Thread-local storage",
    .claim =
        "Each thread has its own copy of thread-local data, errno included, and none leaks "
        "from thread to thread.",
    .method =
        "Sixteen threads write their own mark into a C++ thread_local, a "
        "treadle::thread_specific<T> and errno, yield or sleep so that they move between "
        "kernel threads, and read the mark back.",
    .look =
        "thread_specific and errno must never be wrong. The C++ thread_local belongs to the "
        "kernel thread, so user threads overwrite each other's: the one thing to change when "
        "code moves from 1:1 to user threads.",
    .plots = {{.key = "leaks", .title = "Wrong reads", .unit = "reads"}},
    .run = run};

}  // namespace treadle::lab
