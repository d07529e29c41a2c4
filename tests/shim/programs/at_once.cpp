// Calls that end at once, though their descriptor is not ready: what is wrong with them, and what
// never waits. Every kind of descriptor, every kind of call; what may wait is left out.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

// Nobody writes to it, or reads from it, until the process ends.
int full(int descriptor) {
  static char much[65536];
  const int flags = fcntl(descriptor, F_GETFL);
  fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
  while (write(descriptor, much, sizeof(much)) > 0) {
  }
  while (write(descriptor, much, 1) > 0) {
  }
  fcntl(descriptor, F_SETFL, flags);
  return descriptor;
}

int end_of_pipe(int which) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  return ends[which];
}

int fifo(int mode) {
  char path[] = "/tmp/at_once.XXXXXX";
  CHECK(mkdtemp(path) != nullptr);
  char name[sizeof(path) + 2];
  std::snprintf(name, sizeof(name), "%s/f", path);
  CHECK(mkfifo(name, 0600) == 0);
  const int made = open(name, mode | O_NONBLOCK);
  fcntl(made, F_SETFL, 0);
  unlink(name);
  rmdir(path);
  return made;
}

int half_of_pair(int type) {
  int both[2];
  CHECK(socketpair(AF_UNIX, type, 0, both) == 0);
  return both[0];
}

int listening(int family) {
  const int made = socket(family, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const sa_family_t unnamed = AF_UNIX;  // which makes the kernel choose a name
  const bool is_local = family == AF_UNIX;
  CHECK(bind(made,
             is_local ? reinterpret_cast<const sockaddr*>(&unnamed)
                      : reinterpret_cast<const sockaddr*>(&address),
             is_local ? sizeof(unnamed) : sizeof(address)) == 0);
  CHECK(listen(made, 5) == 0);
  return made;
}

int connected() {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  CHECK(getsockname(listening(AF_INET), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int made = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(made, reinterpret_cast<sockaddr*>(&address), size) == 0);
  return made;
}

int terminal(int least, int tenths) {
  int outside;
  int inside;
  CHECK(openpty(&outside, &inside, nullptr, nullptr, nullptr) == 0);
  if (least < 0) return inside;
  termios state;
  tcgetattr(inside, &state);
  cfmakeraw(&state);
  state.c_cc[VMIN] = static_cast<cc_t>(least);
  state.c_cc[VTIME] = static_cast<cc_t>(tenths);
  CHECK(tcsetattr(inside, TCSANOW, &state) == 0);
  return inside;
}

int message_queue() {
  mq_attr limits{};
  limits.mq_maxmsg = 1;
  limits.mq_msgsize = 8;
  const int made = mq_open("/treadle_at_once", O_CREAT | O_RDWR, 0600, &limits);
  mq_unlink("/treadle_at_once");
  return made;
}

int event_counter(unsigned long value) {
  const int made = eventfd(0, 0);
  if (value != 0) CHECK(write(made, &value, sizeof(value)) == sizeof(value));
  return made;
}

int counted_events() {
  perf_event_attr what{};
  what.size = sizeof(what);
  what.type = PERF_TYPE_SOFTWARE;
  what.config = PERF_COUNT_SW_TASK_CLOCK;
  const long made = syscall(SYS_perf_event_open, &what, 0, -1, -1, 0);
  if (made >= 0) mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(made), 0);
  return static_cast<int>(made);
}

int signals() {
  sigset_t none;
  sigemptyset(&none);
  return signalfd(-1, &none, 0);
}

// What waits there: reads of 0, 1 and 8 bytes and to where nothing is, writes, receives, these of
// urgent data and of errors, accept.
struct descriptor_kind {
  const char* name;
  const char* waits;
  int (*make)();
};
constexpr descriptor_kind kinds[] = {
    {"pipe", "18b", [] { return end_of_pipe(0); }},
    {"pipe, written", "", [] { return end_of_pipe(1); }},
    {"pipe, full", "w", [] { return full(end_of_pipe(1)); }},
    {"fifo without writer", "", [] { return fifo(O_RDONLY); }},
    {"fifo", "18b", [] { return fifo(O_RDWR); }},
    {"fifo, full", "w", [] { return full(fifo(O_RDWR)); }},
    {"unix stream", "18bme", [] { return half_of_pair(SOCK_STREAM); }},
    {"unix stream, full", "18bwme", [] { return full(half_of_pair(SOCK_STREAM)); }},
    {"unix datagrams", "18bme", [] { return half_of_pair(SOCK_DGRAM); }},
    {"unix packets", "18bme", [] { return half_of_pair(SOCK_SEQPACKET); }},
    {"unix, alone", "", [] { return socket(AF_UNIX, SOCK_STREAM, 0); }},
    {"unix, listening", "a", [] { return listening(AF_UNIX); }},
    {"tcp, alone", "", [] { return socket(AF_INET, SOCK_STREAM, 0); }},
    {"tcp, listening", "a", [] { return listening(AF_INET); }},
    {"tcp", "18bm", [] { return connected(); }},
    {"tcp, full", "18bwm", [] { return full(connected()); }},
    {"udp", "18bmo", [] { return socket(AF_INET, SOCK_DGRAM, 0); }},
    {"netlink", "18bme", [] { return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }},
    {"eventfd", "8b", [] { return event_counter(0); }},
    {"eventfd, full", "", [] { return event_counter(~0ul - 1); }},
    {"timerfd", "8b", [] { return timerfd_create(CLOCK_MONOTONIC, 0); }},
    {"signalfd", "", [] { return signals(); }},
    {"inotify", "018b", [] { return inotify_init(); }},
    {"epoll", "", [] { return epoll_create1(0); }},
    {"pidfd", "", [] { return static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)); }},
    {"file", "", [] { return memfd_create("x", 0); }},
    {"directory", "", [] { return open("/tmp", O_RDONLY); }},
    {"path", "", [] { return open("/tmp", O_PATH); }},
    {"null", "", [] { return open("/dev/null", O_RDWR); }},
    {"terminal", "18b", [] { return terminal(-1, 0); }},
    {"terminal, no byte", "", [] { return terminal(0, 0); }},
    {"terminal, no byte in time", "", [] { return terminal(0, 1); }},
    {"terminal, five bytes", "18b", [] { return terminal(5, 0); }},
    {"message queue", "", [] { return message_queue(); }},
    {"counted events", "", [] { return counted_events(); }},
    {"ring", "",
     [] {
       io_uring_params how{};
       return static_cast<int>(syscall(SYS_io_uring_setup, 4, &how));
     }},
    {"nothing", "", [] { return -1; }},
};

char bytes[64];
unsigned long ones = ~0ul;
iovec parts[1025];
void* const nowhere = reinterpret_cast<void*>(8);

long receive_message(int from, int flags, std::size_t count) {
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = count;
  return recvmsg(from, &header, flags);
}

// recvmsg() of libc's, which may be told that its header is never null.
long receive_nowhere(int from, int flags) { return syscall(SYS_recvmsg, from, nowhere, flags); }

struct call_kind {
  const char* name;
  char waits;  // among descriptor_kind::waits
  long (*make)(int descriptor);
};
constexpr call_kind calls[] = {
    {"read 1", '1', [](int one) { return read(one, bytes, 1); }},
    {"read 8", '8', [](int one) { return read(one, bytes, 8); }},
    {"read 0", '0', [](int one) { return read(one, bytes, 0); }},
    {"read -1", '-', [](int one) { return syscall(SYS_read, one, bytes, -1L); }},
    {"read nowhere", 'b', [](int one) { return syscall(SYS_read, one, nowhere, 8); }},
    {"readv -1", '-', [](int one) { return syscall(SYS_readv, one, parts, -1L); }},
    {"readv 1025", '-', [](int one) { return readv(one, parts, 1025); }},
    {"readv empty", '-', [](int one) { return readv(one, parts, 3); }},
    {"readv nowhere", '-', [](int one) { return syscall(SYS_readv, one, nowhere, 1); }},
    {"write 1", 'w', [](int one) { return write(one, bytes, 1); }},
    {"write all ones", 'w', [](int one) { return write(one, &ones, sizeof(ones)); }},
    {"write -1", '-', [](int one) { return syscall(SYS_write, one, bytes, -1L); }},
    {"write nowhere", 'w', [](int one) { return syscall(SYS_write, one, nowhere, 8); }},
    {"writev -1", '-', [](int one) { return syscall(SYS_writev, one, parts, -1L); }},
    {"writev 1025", '-', [](int one) { return writev(one, parts, 1025); }},
    {"recv", 'm', [](int one) { return recv(one, bytes, 1, 0); }},
    {"recv all", 'm', [](int one) { return recv(one, bytes, 2, MSG_WAITALL); }},
    {"recv urgent", 'o', [](int one) { return recv(one, bytes, 1, MSG_OOB); }},
    {"recv all urgent", 'o', [](int one) { return recv(one, bytes, 1, MSG_OOB | MSG_WAITALL); }},
    {"recv errors", 'e', [](int one) { return recv(one, bytes, 1, MSG_ERRQUEUE); }},
    {"recvmsg errors", 'e', [](int one) { return receive_message(one, MSG_ERRQUEUE, 1); }},
    {"recvmsg 5000", '-', [](int one) { return receive_message(one, 0, 5000); }},
    {"recvmsg all 5000", '-', [](int one) { return receive_message(one, MSG_WAITALL, 5000); }},
    {"recvmsg nowhere", '-', [](int one) { return receive_nowhere(one, 0); }},
    {"recvmsg all nowhere", '-', [](int one) { return receive_nowhere(one, MSG_WAITALL); }},
    {"send 5000", '-',
     [](int one) {
       msghdr header{};
       header.msg_iovlen = 5000;
       header.msg_iov = parts;
       return sendmsg(one, &header, MSG_NOSIGNAL);
     }},
    {"accept", 'a', [](int one) { return long{accept(one, nullptr, nullptr)}; }},
    {"accept wrongly", '-', [](int one) { return long{accept4(one, nullptr, nullptr, 7)}; }},
};

void try_all(const descriptor_kind& kind) {
  for (const call_kind& call : calls) {
    if (std::strchr(kind.waits, call.waits) != nullptr) continue;
    const int descriptor = kind.make();
    if (descriptor < 0 && std::strcmp(kind.name, "nothing") != 0) {
      std::printf("%s: none here\n", kind.name);
      return;
    }
    errno = 0;
    const long result = call.make(descriptor);
    std::printf("%s, %s: %ld %s\n", kind.name, call.name, result, strerrorname_np(errno));
    std::fflush(stdout);
    close(descriptor);
  }
}

void* try_kinds(void*) {
  for (const descriptor_kind& one : kinds) try_all(one);
  return nullptr;
}

// write() of nothing sends an empty datagram.
void* send_nothing(void*) {
  int both[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, both) == 0);
  CHECK(write(both[0], bytes, 0) == 0);
  CHECK(recv(both[1], bytes, sizeof(bytes), MSG_DONTWAIT) == 0);
  return nullptr;
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  for (iovec& one : parts) one = {bytes, 0};
  join(start(try_kinds));
  join(start(send_nothing));
  return 0;
}
