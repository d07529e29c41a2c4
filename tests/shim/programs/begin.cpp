// A program's first thread and nothing more: for the faults at the shim's start. Says by getppid()
// where the program goes on.
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

void* first(void* argument) {
  static_cast<void>(getppid());
  return as_result(as_number(argument) + 1);
}

}  // namespace

int main() {
  pthread_t made;
  if (const int error = pthread_create(&made, nullptr, first, as_result(41))) {
    std::printf("pthread_create: %s\n", std::strerror(error));
    return 7;
  }
  static_cast<void>(getppid());
  CHECK(join(made) == 42);
  done("the first thread");
  return 6;
}
