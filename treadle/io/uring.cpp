#include "treadle/io/uring.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "treadle/base/system_call.hpp"
#include "treadle/io/own_descriptor.hpp"

namespace treadle::io {
namespace {

// What the kernel must have (all since Linux 5.12): completions that are never dropped, reads at
// the file's own position, workers that are threads of ours.
constexpr std::uint32_t features_needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
                                          IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS |
                                          IORING_FEAT_FAST_POLL | IORING_FEAT_NATIVE_WORKERS;

constexpr std::array calls_needed{IORING_OP_READV,    IORING_OP_WRITEV,       IORING_OP_FSYNC,
                                  IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_OPENAT,
                                  IORING_OP_READ,     IORING_OP_WRITE,        IORING_OP_RECV};

template <class T>
T* at(std::byte* base, std::uint32_t offset) noexcept {
  return reinterpret_cast<T*>(base + offset);
}

}  // namespace

int uring::open(unsigned entries, unsigned completions, bool polled) noexcept {
  // Completions are worked off by the owner when it waits; since Linux 6.1. Before that the owner
  // is interrupted for them, which is as good: it does nothing else.
  constexpr std::uint32_t always = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
  constexpr std::uint32_t preferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  int error = EINVAL;
  io_uring_params with;
  for (const std::uint32_t flags : {always | preferred, always}) {
    std::memset(&with, 0, sizeof(with));
    with.flags = polled ? flags | IORING_SETUP_TASKRUN_FLAG : flags;
    with.cq_entries = completions;
    error = base::set_up_ring(entries, &with, &descriptor_);
    if (error != EINVAL || polled) break;
  }
  if (error != 0) {
    descriptor_ = -1;
    return error;
  }
  descriptor_ = move_high(descriptor_);
  const std::uint32_t needed = polled ? features_needed | IORING_FEAT_EXT_ARG : features_needed;
  if ((with.features & needed) != needed || !knows_our_calls()) {
    error = EOPNOTSUPP;
  } else {
    error = map(with);
  }
  if (error != 0) close();
  return error;
}

bool uring::knows_our_calls() noexcept {
  constexpr unsigned calls_max = 256;  // sourced: as many as the number of a call can name
  alignas(io_uring_probe)
      std::byte memory[sizeof(io_uring_probe) + calls_max * sizeof(io_uring_probe_op)] = {};
  if (base::register_ring(descriptor_, IORING_REGISTER_PROBE, memory, calls_max) < 0) return false;
  const auto* probe = reinterpret_cast<const io_uring_probe*>(memory);
  for (const auto call : calls_needed) {
    if (call > probe->last_op) return false;
    if ((probe->ops[call].flags & IO_URING_OP_SUPPORTED) == 0) return false;
  }
  return true;
}

int uring::map(const io_uring_params& with) noexcept {
  const auto share = [this](std::size_t bytes, std::int64_t offset) noexcept {
    const int before = errno;
    void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                           descriptor_, offset);
    // A child's queues would be the parent's: it is better off without.
    if (address != MAP_FAILED) ::madvise(address, bytes, MADV_DONTFORK);
    errno = before;
    return address == MAP_FAILED ? nullptr : address;
  };
  const std::size_t to_kernel = with.sq_off.array + with.sq_entries * sizeof(std::uint32_t);
  const std::size_t from_kernel = with.cq_off.cqes + with.cq_entries * sizeof(io_uring_cqe);
  queues_bytes_ = to_kernel > from_kernel ? to_kernel : from_kernel;
  entries_bytes_ = with.sq_entries * sizeof(io_uring_sqe);
  queues_ = static_cast<std::byte*>(share(queues_bytes_, IORING_OFF_SQ_RING));
  entries_ = static_cast<io_uring_sqe*>(share(entries_bytes_, IORING_OFF_SQES));
  if (queues_ == nullptr || entries_ == nullptr) return ENOMEM;
  entries_count_ = with.sq_entries;
  head_of_entries_ = at<index>(queues_, with.sq_off.head);
  tail_of_entries_ = at<index>(queues_, with.sq_off.tail);
  flags_of_entries_ = at<const index>(queues_, with.sq_off.flags);
  head_of_completions_ = at<index>(queues_, with.cq_off.head);
  tail_of_completions_ = at<index>(queues_, with.cq_off.tail);
  completions_ = at<const io_uring_cqe>(queues_, with.cq_off.cqes);
  completions_mask_ = *at<const std::uint32_t>(queues_, with.cq_off.ring_mask);
  // Entry i of the queue always stands for entry i of the array.
  auto* order = at<std::uint32_t>(queues_, with.sq_off.array);
  for (std::uint32_t i = 0; i < entries_count_; ++i) order[i] = i;
  return 0;
}

void uring::close() noexcept {
  if (descriptor_ < 0) return;
  if (queues_ != nullptr) base::unmap_memory(queues_, queues_bytes_);
  if (entries_ != nullptr) base::unmap_memory(entries_, entries_bytes_);
  queues_ = nullptr;
  entries_ = nullptr;
  const int before = errno;
  ::close(descriptor_);
  errno = before;
  descriptor_ = -1;
}

int uring::own() noexcept {
  return -base::register_ring(descriptor_, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

void uring::limit_workers(unsigned count) noexcept {
  // For calls on disks the kernel's own limit stays, four for each CPU; an old kernel has no other.
  std::array<std::uint32_t, 2> limits{0, count};
  static_cast<void>(base::register_ring(descriptor_, IORING_REGISTER_IOWQ_MAX_WORKERS,
                                        limits.data(), limits.size()));
}

io_uring_sqe* uring::next() noexcept {
  // acquire: pairs with the kernel's store, after which it reads the entries no more
  if (prepared_ - head_of_entries_->load(base::acquire) == entries_count_) {
    submit(false);
    if (prepared_ - head_of_entries_->load(base::acquire) == entries_count_) return nullptr;
  }
  io_uring_sqe* entry = &entries_[prepared_ & (entries_count_ - 1)];
  std::memset(entry, 0, sizeof(*entry));
  ++prepared_;
  return entry;
}

// How many entries the kernel has not taken yet.
unsigned uring::publish() noexcept {
  // release: pairs with the kernel's load, publishes the entries
  tail_of_entries_->store(prepared_, base::release);
  return prepared_ - head_of_entries_->load(base::acquire);  // as in next()
}

int uring::submit(bool wait) noexcept {
  const int result = base::enter_ring(descriptor_, publish(), wait ? 1 : 0, IORING_ENTER_GETEVENTS);
  return result < 0 ? -result : 0;
}

int uring::submit_and_wait_for(std::int64_t nanoseconds) noexcept {
  const int result = base::enter_ring_for(descriptor_, publish(), nanoseconds);
  return result < 0 ? -result : 0;
}

int uring::register_with(unsigned what, void* with, unsigned count) noexcept {
  return base::register_ring(descriptor_, what, with, count);
}

}  // namespace treadle::io
