// Several threads at one descriptor, and more than a reader takes at once: who waits must never
// keep a thread of the same process from what it waits for, also where one worker runs them all.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <vector>

#include "tests/shim/programs/check.hpp"

namespace {

int listener = -1;

void* accept_one(void*) {
  const int taken = accept(listener, nullptr, nullptr);
  CHECK(taken >= 0);
  char byte = 0;
  CHECK(read(taken, &byte, 1) == 1);
  close(taken);
  return as_result(byte);
}

// One connection wakes all, and one gets it; the others go on waiting.
void accepts() {
  listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(where);
  CHECK(bind(listener, reinterpret_cast<sockaddr*>(&where), size) == 0);
  CHECK(listen(listener, 16) == 0);
  CHECK(getsockname(listener, reinterpret_cast<sockaddr*>(&where), &size) == 0);
  constexpr int count = 5;
  pthread_t all[count];
  for (pthread_t& one : all) one = start(accept_one);
  for (int i = 0; i < count; ++i) {
    usleep(1000);
    const int to = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(to, reinterpret_cast<sockaddr*>(&where), size) == 0);
    CHECK(write(to, "a", 1) == 1);
    close(to);
  }
  for (const pthread_t one : all) CHECK(join(one) == 'a');
  close(listener);
  done("accept by several");
}

enum class way : unsigned char { write, writev, sendto, sendmsg };
struct delivery {
  way how;
  int into;
  std::vector<char>* text;
};

void* deliver(void* argument) {
  const auto& mine = *static_cast<delivery*>(argument);
  std::vector<char>& text = *mine.text;
  const auto all = static_cast<ssize_t>(text.size());
  // Uneven parts, one of them empty.
  const size_t first = text.size() / 3;
  iovec parts[3] = {
      {text.data(), first}, {text.data(), 0}, {text.data() + first, text.size() - first}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  switch (mine.how) {
    case way::write:
      CHECK(write(mine.into, text.data(), text.size()) == all);
      break;
    case way::writev:
      CHECK(writev(mine.into, parts, 3) == all);
      break;
    case way::sendto:
      CHECK(send(mine.into, text.data(), text.size(), 0) == all);
      break;
    case way::sendmsg:
      CHECK(sendmsg(mine.into, &message, 0) == all);
      break;
  }
  return nullptr;
}

void through(int from, int into, way how, const char* what) {
  std::vector<char> text(1'000'003);
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 / 5);
  delivery mine{how, into, &text};
  const pthread_t other = start(deliver, reinterpret_cast<long>(&mine));
  std::vector<char> found(text.size());
  for (size_t at = 0; at < found.size();) {
    const ssize_t got = read(from, found.data() + at, 9000);
    CHECK(got > 0);
    at += static_cast<size_t>(got);
  }
  join(other);
  CHECK(found == text);
  done(what);
}

void deliveries() {
  int ends[2];
  CHECK(pipe(ends) == 0);
  through(ends[0], ends[1], way::write, "write into a pipe");
  through(ends[0], ends[1], way::writev, "writev into a pipe");
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  through(ends[0], ends[1], way::writev, "writev into a socket");
  through(ends[0], ends[1], way::sendto, "send");
  through(ends[0], ends[1], way::sendmsg, "sendmsg");
  char name[] = "/tmp/crowdsXXXXXX";
  const int file = mkstemp(name);
  CHECK(file >= 0 && unlink(name) == 0);
  std::vector<char> text(300'000, 'f');
  delivery mine{way::writev, file, &text};
  deliver(&mine);
  CHECK(lseek(file, 0, SEEK_END) == 300'000);
  close(file);
  done("writev into a file");
}

// What the kernel refuses it refuses; nothing of ours looks at such pointers.
void refusals() {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  char* volatile unknown = reinterpret_cast<char*>(1);
  char* const nowhere = unknown;
  CHECK(write(ends[0], nowhere, 10) == -1 && errno == EFAULT);
  CHECK(send(ends[0], nowhere, 10, 0) == -1 && errno == EFAULT);
  CHECK(sendmsg(ends[0], reinterpret_cast<msghdr*>(nowhere), 0) == -1 && errno == EFAULT);
  CHECK(writev(ends[0], reinterpret_cast<iovec*>(nowhere), 2) == -1 && errno == EFAULT);
  CHECK(write(-1, "x", 1) == -1 && errno == EBADF);
  CHECK(send(-1, "x", 1, 0) == -1 && errno == EBADF);
  CHECK(write(ends[0], "", 0) == 0);
  CHECK(shutdown(ends[0], SHUT_WR) == 0);
  CHECK(send(ends[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  timeval soon{0, 20'000};
  CHECK(setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)) == 0);
  std::vector<char> much(3'000'000);
  const ssize_t some = send(ends[1], much.data(), much.size(), 0);
  CHECK(some > 0 && some < static_cast<ssize_t>(much.size()));
  CHECK(send(ends[1], much.data(), much.size(), 0) == -1 && errno == EAGAIN);
  done("refusals and a time-out");
}

void* nothing(void*) { return nullptr; }

}  // namespace

int main() {
  join(start(nothing));
  accepts();
  deliveries();
  refusals();
  return 0;
}
