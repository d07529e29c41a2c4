// closers: a descriptor is closed while others wait on it; all of them are told.
//
// A number that is closed may be somebody else's the next moment, and a thread that is late would
// then wait on that: so the numbers here are far above those that the kernel gives out.
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

namespace io = treadle::io;

enum count { reads, polls, waits, timed_out };

std::atomic<int> next_number{0};

descriptor move_up(descriptor low) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const int highest = static_cast<int>(files.rlim_max);
  // Guess: nothing here opens half as many as are allowed.
  const int place = highest / 2 + next_number.fetch_add(1) % (highest / 2 - 8);
  const int moved = ::fcntl(low.get(), F_DUPFD_CLOEXEC, place);
  // EINVAL: the limit is lower just now.
  if (moved < 0 && errno == EINVAL) throw excuse();
  return descriptor(SOAK_MUST(moved));
}

void wait_until_closed(seat& mine, int number, unsigned kind) {
  char byte = 0;
  switch (kind) {
    case reads: {
      const ssize_t got = io::read(number, &byte, 1);
      const int error = io::own_errno();
      if (got < 0 && is_drought(error)) throw excuse();
      SOAK_CHECK(got == -1 && error == EBADF, "a read of a closed descriptor", got);
      break;
    }
    case polls: {
      const int got = io::poll(number, POLLIN);
      if (got < 0 && is_drought(io::own_errno())) throw excuse();
      SOAK_CHECK(got == POLLNVAL || (got == -1 && io::own_errno() == EBADF),
                 "a poll of a closed descriptor", got);
      break;
    }
    case waits: {
      const int got = io::wait_readable(number);
      const int error = io::own_errno();
      if (got < 0 && is_drought(error)) throw excuse();
      // It may also end for no reason: the read after it would say why.
      SOAK_CHECK(got == 0 || error == EBADF, "a wait for a closed descriptor", error);
      break;
    }
    default: {
      const ssize_t got = io::read(number, &byte, 1, microseconds(300));
      const int error = io::own_errno();
      if (got < 0 && is_drought(error)) throw excuse();
      SOAK_CHECK(got == -1 && (error == EBADF || error == ETIMEDOUT),
                 "a short read of a closed descriptor", error);
    }
  }
  mine.count(kind);
}

void turn(seat& mine) {
  pair_of_ends ends = mine.draw(2) == 0 ? make_pipe() : make_socket_pair();
  descriptor high = move_up(std::move(ends.reading));
  crowd waiting;
  std::atomic<unsigned> there{0};
  const unsigned count = 1 + mine.draw(5);
  for (unsigned i = 0; i < count; ++i) {
    waiting.add([&mine, &there, number = high.get(), kind = mine.draw(4)] {
      there.fetch_add(1);
      wait_until_closed(mine, number, kind);
    });
  }
  mine.mark("before the close");
  while (there.load() != count) treadle::this_thread::yield();
  if (mine.draw(2) == 0) treadle::this_thread::sleep_for(microseconds(mine.draw(1'500)));
  mine.mark("after the close");
  high.close();
  waiting.join();
}

}  // namespace

const part closers{"closers", needs::nothing, 2, {"reads", "polls", "waits", "timed"}, turn};

}  // namespace soak
