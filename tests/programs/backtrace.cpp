// Stands still in a treadle thread for a debugger: `backtrace MODEL`. stop_here() is the place.
#include <cstdio>
#include <treadle/runtime.hpp>
#include <treadle/scope.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/thread.hpp>

namespace {
volatile int sink = 0;
}

extern "C" [[gnu::noinline, gnu::used]] void stop_here(int depth) {
  sink = depth;
  asm volatile("" ::: "memory");
}

[[gnu::noinline]] void user_inner(int depth) {
  stop_here(depth);
  sink = sink + 1;
}

[[gnu::noinline]] void user_middle(int depth) {
  if (depth > 0) {
    user_middle(depth - 1);
  } else {
    user_inner(depth);
  }
  sink = sink + 1;
}

void user_outer() {
  treadle::this_thread::yield();  // so that it was switched to, and not only started
  user_middle(3);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  treadle::runtime_options options;
  options.model = treadle::parse_model(argv[1]);
  treadle::runtime rt(options);
  rt.run([] {
    treadle::thread busy([] { treadle::this_thread::yield(); });
    treadle::thread t(treadle::thread_attributes{.name = "stopped"}, user_outer);
    t.join();
    busy.join();
    treadle::scope forks;
    forks.spawn(user_outer);
    forks.join();
  });
  std::puts("done");
  return 0;
}
