// children: fork and exec, posix_spawn, and the end of a child waited for, amid everything else.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <string>

#include "tests/soak/tools.hpp"

extern char** environ;  // NOLINT: POSIX's

namespace soak {
namespace {

namespace io = treadle::io;

enum count { forked, spawned, in_time, words };

// What a loader without a descriptor complains of is not wanted.
const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);

const posix_spawn_file_actions_t quietly = [] {
  posix_spawn_file_actions_t made;
  ::posix_spawn_file_actions_init(&made);
  ::posix_spawn_file_actions_adddup2(&made, nowhere, 2);
  return made;
}();

// A program that starts without a descriptor to load its libraries with is excused.
void expect_status(int status, int wanted, unsigned droughts_before) {
  if (droughts_before % 2 == 1 || droughts.load() != droughts_before) {
    if (status != wanted << 8) throw excuse();
  }
  SOAK_CHECK(status == wanted << 8, "a child ended otherwise", status);
}

void wait_for(pid_t child, int wanted, unsigned droughts_before) {
  int status = -1;
  pid_t got = io::waitpid(child, &status, 0);
  if (got < 0 && is_drought(io::own_errno())) {
    while ((got = ::waitpid(child, &status, WNOHANG)) == 0) {
      treadle::this_thread::sleep_for(microseconds(500));
    }
  }
  SOAK_CHECK(got == child, "waitpid", io::own_errno());
  expect_status(status, wanted, droughts_before);
}

void fork_and_exec(seat& mine) {
  const unsigned before = droughts.load();
  const int wanted = static_cast<int>(mine.draw(100));
  const std::string script = "exit " + std::to_string(wanted);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(nowhere, 2);
    ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
    ::_exit(120);
  }
  SOAK_CHECK(child > 0, "fork", errno);
  wait_for(child, wanted, before);
  mine.count(forked);
}

// What it writes comes through a pipe.
void read_from_child(seat& mine) {
  const unsigned before = droughts.load();
  pair_of_ends out = make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out.writing.get(), 1);
    ::dup2(nowhere, 2);
    ::execl("/bin/echo", "echo", "word", nullptr);
    ::_exit(120);
  }
  SOAK_CHECK(child > 0, "fork", errno);
  out.writing.close();
  std::string said;
  char piece[16];
  ssize_t got = 0;
  while ((got = io::read(out.reading.get(), piece, sizeof(piece))) > 0) {
    said.append(piece, static_cast<std::size_t>(got));
  }
  const int error = io::own_errno();
  wait_for(child, 0, before);
  if (got < 0 && is_drought(error)) throw excuse();
  SOAK_CHECK(got == 0 && said == "word\n", "a child said otherwise", error);
  mine.count(words);
}

void spawn_and_wait_in_time(seat& mine) {
  const unsigned before = droughts.load();
  pid_t child = 0;
  std::string name = "true";
  char* arguments[] = {name.data(), nullptr};
  const int failed = ::posix_spawn(&child, "/bin/true", &quietly, nullptr, arguments, environ);
  SOAK_CHECK(failed == 0, "posix_spawn", failed);
  mine.count(spawned);
  int status = -1;
  const pid_t got = io::waitpid(child, &status, 0, microseconds(mine.draw(3'000)));
  const int error = io::own_errno();
  if (got != child) {
    SOAK_CHECK(got == -1 && (error == ETIMEDOUT || is_drought(error)), "waitpid in time", error);
    wait_for(child, 0, before);
    return;
  }
  expect_status(status, 0, before);
  mine.count(in_time);
}

void turn(seat& mine) {
  mine.mark("fork");
  fork_and_exec(mine);
  mine.mark("a child's word");
  read_from_child(mine);
  mine.mark("posix_spawn");
  spawn_and_wait_in_time(mine);
  treadle::this_thread::sleep_for(microseconds(mine.draw(5'000)));
}

}  // namespace

const part children{"children", needs::nothing, 1, {"forked", "spawned", "in-time", "words"}, turn};

}  // namespace soak
