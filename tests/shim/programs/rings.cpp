// A thread that waits for a completion of io_uring lets others run: also the one that brings it
// about. By the kernel's own calls, as programs with liburing make them.
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/shim/programs/check.hpp"

namespace {

struct ring {
  int descriptor = -1;
  io_uring_params about{};
  char* rings = nullptr;
  io_uring_sqe* entries = nullptr;

  bool open() {
    descriptor = static_cast<int>(syscall(SYS_io_uring_setup, 4, &about));
    if (descriptor < 0) return false;
    CHECK((about.features & IORING_FEAT_SINGLE_MMAP) != 0);
    const size_t bytes = about.cq_off.cqes + about.cq_entries * sizeof(io_uring_cqe);
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        descriptor, IORING_OFF_SQ_RING);
    CHECK(mapped != MAP_FAILED);
    rings = static_cast<char*>(mapped);
    mapped = mmap(nullptr, about.sq_entries * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_POPULATE, descriptor, IORING_OFF_SQES);
    CHECK(mapped != MAP_FAILED);
    entries = static_cast<io_uring_sqe*>(mapped);
    return true;
  }
  unsigned* word(unsigned offset) const { return reinterpret_cast<unsigned*>(rings + offset); }
  void push(const io_uring_sqe& wanted) const {
    unsigned* tail = word(about.sq_off.tail);
    const unsigned place = *tail & *word(about.sq_off.ring_mask);
    entries[place] = wanted;
    word(about.sq_off.array)[place] = place;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  }
  int pop() const {
    unsigned* head = word(about.cq_off.head);
    CHECK(__atomic_load_n(word(about.cq_off.tail), __ATOMIC_ACQUIRE) != *head);
    const auto* all = reinterpret_cast<const io_uring_cqe*>(rings + about.cq_off.cqes);
    const int result = all[*head & *word(about.cq_off.ring_mask)].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
  }
  long enter(unsigned submit, unsigned least, unsigned flags, void* argument = nullptr,
             size_t size = 8) const {
    return syscall(SYS_io_uring_enter, descriptor, submit, least, flags, argument, size);
  }
};

ring shared;
int ends[2];
char byte = 0;

void* read_by_ring(void*) {
  io_uring_sqe wanted{};
  wanted.opcode = IORING_OP_READ;
  wanted.fd = ends[0];
  wanted.addr = reinterpret_cast<unsigned long>(&byte);
  wanted.len = 1;
  wanted.off = ~0ull;
  shared.push(wanted);
  CHECK(shared.enter(1, 1, IORING_ENTER_GETEVENTS) == 1);
  return as_result(shared.pop());
}

void* nothing(void*) { return nullptr; }

void waits() {
  for (int i = 0; i < 20; ++i) {
    const pthread_t other = start(read_by_ring);
    if (i % 2 == 0) usleep(500);
    CHECK(write(ends[1], "r", 1) == 1);
    CHECK(join(other) == 1 && byte == 'r');
  }
}

void time_out() {
  struct {
    unsigned long mask;
    unsigned size;
    unsigned least;
    unsigned long span;
  } argument{};
  __kernel_timespec soon{0, 2'000'000};
  argument.span = reinterpret_cast<unsigned long>(&soon);
  const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  CHECK(shared.enter(0, 1, flags, &argument, sizeof(argument)) == -1 && errno == ETIME);
}

}  // namespace

int main() {
  join(start(nothing));
  CHECK(pipe(ends) == 0);
  // Where the kernel has no io_uring for us there is nothing to see.
  if (shared.open()) {
    waits();
    if ((shared.about.features & IORING_FEAT_EXT_ARG) != 0) time_out();
    CHECK(shared.enter(0, 1, IORING_ENTER_GETEVENTS | (1u << 30)) == -1 && errno == EINVAL);
  }
  done("rings");
  return 0;
}
