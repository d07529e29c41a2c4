// The textbook's second program: one thread blocks in read() on a pipe into which nobody writes
// yet, and another one computes. Plain pthreads; run it under each model with `treadle run`.
//
// In a many-to-one library that knows nothing of read(), the first thread stops the second, and
// this program never ends: `treadle run --model m:1 --pure` shows that, and its watchdog says so.
// Under every model of Treadle the reader otherwise parks, and only the reader.
#include <pthread.h>
#include <unistd.h>

#include <cstdio>

namespace {

int pipe_ends[2];
volatile bool reader_is_back = false;

void* read_from_pipe(void*) {
  char text[64];
  const ssize_t count = read(pipe_ends[0], text, sizeof text);
  reader_is_back = true;
  if (count > 0) std::printf("reader: got '%.*s'\n", static_cast<int>(count), text);
  return nullptr;
}

void* compute(void*) {
  long sum = 0;
  for (long i = 1; i <= 20'000'000; ++i) {
    sum += i;
    asm volatile("" : "+r"(sum));  // or the compiler knows the sum
  }
  std::printf("other thread: computed %ld\n", sum);
  return nullptr;
}

}  // namespace

int main() {
  pthread_t reader;
  pthread_t other;
  if (pipe(pipe_ends) != 0 || pthread_create(&reader, nullptr, read_from_pipe, nullptr) != 0 ||
      pthread_create(&other, nullptr, compute, nullptr) != 0) {
    std::fprintf(stderr, "no pipe or no thread could be made\n");
    return 1;
  }
  pthread_join(other, nullptr);
  std::printf("the reader %s\n", reader_is_back ? "was not blocked" : "did not stop the other");
  const char text[] = "wake up";
  if (write(pipe_ends[1], text, sizeof text - 1) < 0) return 1;
  pthread_join(reader, nullptr);
  return 0;
}
