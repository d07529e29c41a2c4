// What the shim leaves as it was: while threads run, no memory is writable and executable at once,
// libc's text is not writable, and the descriptors, their flags and their limit are the program's.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

void look_at_memory() {
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  CHECK(maps != nullptr);
  char line[4096];
  int libc_texts = 0;
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    char access[8] = {};
    CHECK(std::sscanf(line, "%*s %7s", access) == 1);
    CHECK(!(access[1] == 'w' && access[2] == 'x'));
    if (access[2] == 'x' && std::strstr(line, "/libc.so.6") != nullptr) ++libc_texts;
  }
  std::fclose(maps);
  CHECK(libc_texts == 1);
}

void look_at_descriptors() {
  rlimit limit{};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  std::printf("limits: %lu %lu\n", static_cast<unsigned long>(limit.rlim_cur),
              static_cast<unsigned long>(limit.rlim_max));
  for (int number = 0; number < 3; ++number) {
    struct stat about {};
    CHECK(fstat(number, &about) == 0);
    std::printf("%d: kind %o, flags %o and %o\n", number, about.st_mode & S_IFMT,
                fcntl(number, F_GETFL), fcntl(number, F_GETFD));
  }
  // The lowest number that is free, which programs rely on.
  const int next = open("/dev/null", O_RDONLY);
  std::printf("next: %d\n", next);
  close(next);
}

void* look(void*) {
  look_at_memory();
  look_at_descriptors();
  return nullptr;
}

}  // namespace

int main() {
  look_at_descriptors();
  join(start(look));
  look_at_memory();
  look_at_descriptors();
  done("memory and descriptors");
  return 0;
}
