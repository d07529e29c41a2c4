// The README's program: a thousand threads, one lock, any model.
// The lines between the marks are the README's, to the letter; tools/tidy_docs.py compares them.
//
// readme: begin
#include <treadle/treadle.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace thr = treadle;  // was: namespace thr = std;

int main() {
  long total = 0;
  thr::mutex guard;
  std::vector<thr::thread> threads;
  for (int i = 1; i <= 1000; ++i) {
    threads.emplace_back([&total, &guard, i] {
      thr::this_thread::yield();
      const thr::lock_guard lock(guard);
      total += i;
    });
  }
  for (thr::thread& each : threads) each.join();
  const std::string model(to_string(thr::runtime::current().model()));
  std::printf("%s: 1000 threads counted to %ld\n", model.c_str(), total);
  return total == 500500 ? 0 : 1;
}
// readme: end
