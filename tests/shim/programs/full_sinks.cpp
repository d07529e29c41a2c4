// Writes of more than there is room for, to FIFOs and eventfds: whoever makes room is a thread of
// the same program, also where there is one worker.
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <initializer_list>

#include "tests/shim/programs/check.hpp"

namespace {

constexpr long much = 1 << 20;
char out[much];
char in[much];
int source;
int sink;
int counter;
pthread_t writer;
volatile sig_atomic_t interrupts = 0;
volatile sig_atomic_t broken = 0;
volatile int is_back = 0;

void open_fifo() {
  char path[] = "/tmp/full_sinks.XXXXXX";
  CHECK(mkdtemp(path) != nullptr);
  char name[sizeof(path) + 2];
  std::snprintf(name, sizeof(name), "%s/f", path);
  CHECK(mkfifo(name, 0600) == 0);
  source = open(name, O_RDONLY | O_NONBLOCK);
  sink = open(name, O_WRONLY);
  CHECK(source >= 0 && sink >= 0 && fcntl(source, F_SETFL, 0) == 0);
  unlink(name);
  rmdir(path);
}

void close_fifo() {
  if (source >= 0) close(source);
  close(sink);
}

void* read_bytes(void* bytes) {
  const long wanted = as_number(bytes);
  long done = 0;
  while (done < wanted) {
    const ssize_t some = read(source, in + done, static_cast<std::size_t>(wanted - done));
    CHECK(some > 0);
    done += some;
  }
  return nullptr;
}

void write_all() {
  open_fifo();
  for (const long bytes : {long{1}, long{4096}, long{4097}, 65536 + long{8}, much}) {
    std::memset(in, 0, sizeof(in));
    const pthread_t reader = start(read_bytes, bytes);
    CHECK(write(sink, out, static_cast<std::size_t>(bytes)) == bytes);
    join(reader);
    CHECK(std::memcmp(in, out, static_cast<std::size_t>(bytes)) == 0);
  }
  close_fifo();
}

// Into a FIFO that has some already, in parts.
void write_parts() {
  open_fifo();
  CHECK(write(sink, out, 60000) == 60000);
  iovec parts[] = {{out + 60000, 10}, {out, 0}, {out + 60010, 300000}, {out + 360010, 5}};
  const pthread_t reader = start(read_bytes, 360015);
  CHECK(writev(sink, parts, 4) == 300015);
  join(reader);
  CHECK(std::memcmp(in, out, 360015) == 0);
  parts[2].iov_base = reinterpret_cast<void*>(8);
  CHECK(writev(sink, parts + 2, 1) == -1 && errno == EFAULT);
  close_fifo();
}

// Until the writer is back: a signal may come before its call.
void* interrupt(void*) {
  while (!is_back) {
    CHECK(pthread_kill(writer, SIGUSR1) == 0);
    usleep(1000);
  }
  return nullptr;
}

void be_interrupted() {
  open_fifo();
  is_back = 0;
  const pthread_t other = start(interrupt);
  CHECK(write(sink, out, much) == 65536);
  CHECK(write(sink, out, much) == -1 && errno == EINTR);
  is_back = 1;
  join(other);
  CHECK(interrupts != 0);
  close_fifo();
}

void* read_a_page_and_close(void*) {
  read_bytes(as_result(4096));
  close(source);
  source = -1;
  return nullptr;
}

void lose_the_reader() {
  open_fifo();
  const pthread_t reader = start(read_a_page_and_close);
  const ssize_t written = write(sink, out, much);
  CHECK(written >= 65536 && written < much && broken == 1);
  join(reader);
  CHECK(write(sink, out, much) == -1 && errno == EPIPE && broken == 2);
  close_fifo();
}

constexpr unsigned long full = ~0ul - 1;

void* take(void*) {
  unsigned long value = 0;
  CHECK(read(counter, &value, sizeof(value)) == sizeof(value));
  return as_result(static_cast<long>(value));
}

bool add(unsigned long value) { return write(counter, &value, sizeof(value)) == sizeof(value); }

void add_to_counter() {
  counter = eventfd(0, 0);
  CHECK(add(1) && add(6) && add(full - 9));
  for (const unsigned long value : {5ul, full, 1ul, 2ul}) {
    const pthread_t reader = start(take);
    CHECK(add(value));
    CHECK(join(reader) != 0);
    CHECK(as_number(take(nullptr)) == static_cast<long>(value));
    CHECK(add(full));
  }
  close(counter);
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  CHECK(sigaction(number, &action, nullptr) == 0);
}

}  // namespace

int main() {
  writer = pthread_self();
  handle(SIGUSR1, [](int) { interrupts = 1; });
  handle(SIGPIPE, [](int) { broken = broken + 1; });
  for (long i = 0; i < much; ++i) out[i] = static_cast<char>('a' + i * 7 % 26);
  write_all();
  write_parts();
  be_interrupted();
  lose_the_reader();
  add_to_counter();
  done("all was written");
  return 0;
}
