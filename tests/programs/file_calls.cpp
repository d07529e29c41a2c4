// Calls on files under injected faults: `file_calls MODEL`. Faults come from TREADLE_FAULT, the way
// from TREADLE_IO. Prints whether io_uring made the calls. Exit code 0: all results were right.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <treadle/treadle.hpp>
#include <vector>

#include "treadle/io/file_ring.hpp"

namespace {

bool right = true;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("wrong: %s\n", what);
  right = false;
}

void work() {
  namespace io = treadle::io;
  char name[] = "/tmp/treadle-file-calls-XXXXXX";
  const int made = ::mkstemp(name);
  expect(made >= 0, "mkstemp");
  ::close(made);
  const int fd = io::open(name, O_RDWR | O_CLOEXEC);
  expect(fd >= 0, "open");
  const std::string text(100'000, 'x');
  expect(io::pwrite(fd, text.data(), text.size(), 0) == 100'000, "pwrite");
  expect(io::fsync(fd) == 0, "fsync");
  expect(io::fdatasync(fd, std::chrono::hours(1)) == 0, "fdatasync");
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  std::atomic<int> sound{0};
  std::vector<treadle::thread> readers;
  for (int i = 0; i < 50; ++i) {
    readers.emplace_back([&, i] {
      char got[10] = {};
      if (io::pread(fd, got, sizeof(got), i * 1000) == 10 && got[9] == 'x') sound.fetch_add(1);
    });
  }
  for (treadle::thread& t : readers) t.join();
  expect(sound == 50, "pread");
  expect(treadle::blocking([] { return 7; }) == 7, "blocking");
  expect(io::fsync(-1) == -1 && io::own_errno() == EBADF, "EBADF");
  expect(io::close(fd) == 0, "close");
  ::unlink(name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  treadle::runtime_options options;
  options.model = treadle::parse_model(argv[1]);
  treadle::runtime rt(options);
  rt.run(work);
  const int refusal = treadle::io::file_ring::refusal();
  std::printf("uring=%s\n", refusal != 0                       ? std::strerror(refusal)
                            : treadle::io::file_ring::usable() ? "there"
                                                               : "unused");
  return right ? 0 : 1;
}
