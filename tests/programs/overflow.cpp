// Overflows a stack: `overflow MODEL recursion|frame|main|system`. Dies by SIGSEGV.
//
// Three other threads are parked at that time; the report names them.
#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <treadle/latch.hpp>
#include <treadle/runtime.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/thread.hpp>
#include <vector>

namespace {

volatile int sink = 0;
volatile int bottom = -1;  // never reached; the compiler cannot know

// Each frame takes about 256 bytes; the volatile keeps it from becoming a loop.
[[gnu::noinline]] int dig(int depth) {
  std::array<volatile char, 200> frame{};
  if (depth == bottom) return 0;
  frame[0] = static_cast<char>(depth);
  const int below = dig(depth + 1);
  sink = frame[0];
  return below + sink;
}

// One frame larger than the whole stack and its guard.
[[gnu::noinline]] void large_frame() {
  std::array<volatile char, 300 * 1024> frame;
  frame[0] = 1;
  frame[frame.size() - 1] = 1;
  sink = frame[0];
}

void overflow(std::string_view kind) {
  treadle::this_thread::yield();
  if (kind == "frame") {
    large_frame();
  } else {
    dig(0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string_view kind = argv[2];
  treadle::runtime_options options;
  options.model = treadle::parse_model(argv[1]);
  options.stack_bytes = 64 * 1024;
  treadle::runtime rt(options);
  rt.run([kind] {
    treadle::latch parked(3);
    treadle::counting_semaphore<> never(0);
    std::vector<treadle::thread> bystanders;
    for (int i = 0; i < 3; ++i) {
      bystanders.emplace_back(treadle::thread_attributes{.name = "bystander-" + std::to_string(i)},
                              [&] {
                                parked.count_down();
                                never.acquire();
                              });
    }
    parked.wait();
    treadle::thread digger(
        treadle::thread_attributes{.name = "digger",
                                   .scope = kind == "system" ? treadle::contention_scope::system
                                                             : treadle::contention_scope::process},
        [kind] { overflow(kind); });
    digger.join();
  });
  std::puts("survived");
  return 0;
}
