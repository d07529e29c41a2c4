// Threads that wait for this and that, for the debugger's script: stop_here() is called when each
// is where its name says. Usage: parked MODEL.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

#include "treadle/io.hpp"
#include "treadle/treadle.hpp"

using namespace treadle;

namespace {

mutex guarded;
counting_semaphore<> closed(0);
int pipe_ends[2];

// Noinline, all of them: the backtrace is to have them.
[[gnu::noinline]] void wait_for_lock() {
  const lock_guard lock(guarded);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void wait_for_semaphore() {
  closed.acquire();
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void wait_for_pipe() {
  char byte = 0;
  if (io::read(pipe_ends[0], &byte, 1) < 0) std::abort();
  asm volatile("" ::: "memory");
}

// In 1:1 a thread that waits for a descriptor is in the kernel, and Treadle does not know.
bool all_wait(bool knows_all) {
  for (const thread_status& one : list_threads()) {
    if (one.name == "on_pipe" && !knows_all) continue;
    if (one.name.rfind("on_", 0) == 0 && one.state != thread_state::parked) return false;
  }
  return true;
}

}  // namespace

extern "C" [[gnu::noinline]] void stop_here() { asm volatile("" ::: "memory"); }

int main(int count, char** words) {
  if (count != 2 || ::pipe(pipe_ends) != 0) return 2;
  runtime own{{.model = parse_model(words[1]), .width = 1}};
  own.run([] {
    guarded.lock();
    std::vector<thread> threads;
    const auto add = [&](const char* name, void (*body)()) {
      threads.emplace_back([name, body] {
        this_thread::set_name(name);
        body();
      });
    };
    add("on_lock", wait_for_lock);
    add("on_semaphore", wait_for_semaphore);
    add("on_pipe", wait_for_pipe);
    const bool knows_all = runtime::current().model() != model::one_to_one;
    unsigned named = 0;
    while (named < threads.size() || !all_wait(knows_all)) {
      this_thread::sleep_for(std::chrono::milliseconds(1));
      named = 0;
      for (const thread_status& one : list_threads()) named += one.name.rfind("on_", 0) == 0;
    }
    stop_here();
    guarded.unlock();
    closed.release();
    if (::write(pipe_ends[1], "", 1) != 1) std::abort();
    for (thread& each : threads) each.join();
  });
  std::puts("done");
  return 0;
}
