// A program outside the tree, as a user of the installed library would write it.
#include <treadle/treadle.hpp>

#include <cstdio>

int main() {
  int sum = 0;
  treadle::mutex guard;
  treadle::thread left([&] {
    const std::lock_guard lock(guard);
    sum += 40;
  });
  treadle::thread right([&] {
    const std::lock_guard lock(guard);
    sum += 2;
  });
  left.join();
  right.join();
  std::printf("%d\n", sum);
  return sum == 42 ? 0 : 1;
}
