#include "treadle/io/receive_buffers.hpp"

#include <sys/mman.h>

#include <new>

#include "treadle/base/atomic.hpp"
#include "treadle/base/system_call.hpp"

namespace treadle::io {
namespace {

constexpr std::size_t entries_bytes = receive_buffers::count * sizeof(io_uring_buf);
constexpr std::size_t all_bytes =
    entries_bytes + receive_buffers::count * receive_buffers::buffer_bytes;
static_assert((receive_buffers::count & (receive_buffers::count - 1)) == 0, "sourced: io_uring's");
static_assert(receive_buffers::buffer_bytes <= 0xffff, "a part counts in 16 bits");

}  // namespace

receive_buffers::receive_buffers(void* memory) noexcept
    : entries_(static_cast<io_uring_buf*>(memory)),
      memory_(static_cast<std::byte*>(memory) + entries_bytes) {}

receive_buffers* receive_buffers::make() noexcept {
  const base::mapping_result mapped =
      base::map_memory(nullptr, all_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (mapped.error != 0) return nullptr;
  auto* made = new (std::nothrow) receive_buffers(mapped.address);
  if (made == nullptr) base::unmap_memory(mapped.address, all_bytes);
  return made;
}

void receive_buffers::unmap() noexcept {
  base::unmap_memory(entries_, all_bytes);
  delete this;
}

// With the lock held: the kernel may use it.
void receive_buffers::offer(std::uint16_t index) noexcept {
  // Not the whole entry: the first one's last field is the tail.
  io_uring_buf& entry = entries_[tail_ % count];
  entry.addr = reinterpret_cast<std::uintptr_t>(data(index));
  entry.len = buffer_bytes;
  entry.bid = index;
  ++tail_;
  auto& tail = *reinterpret_cast<base::atomic<std::uint16_t>*>(&entries_[0].resv);
  tail.store(tail_, base::release);  // pairs with the kernel's load, publishes the entry
}

int receive_buffers::give_to(uring& ring) noexcept {
  io_uring_buf_reg about{};
  about.ring_addr = reinterpret_cast<std::uintptr_t>(entries_);
  about.ring_entries = count;
  about.bgid = group;
  const int result = ring.register_with(IORING_REGISTER_PBUF_RING, &about, 1);
  if (result < 0) return -result;
  const base::guard hold(lock_);
  for (unsigned i = 0; i < count; ++i) offer(static_cast<std::uint16_t>(i));
  return 0;
}

void receive_buffers::take(std::uint16_t index) noexcept {
  // The lock also orders us after who put it back: the ring has told us only that it was.
  const base::guard hold(lock_);
  parts_[index] = part{};
  ++out_;
}

void receive_buffers::put_back(std::uint16_t index) noexcept {
  bool last = false;
  {
    const base::guard hold(lock_);
    --out_;
    if (!abandoned_) offer(index);
    last = abandoned_ && out_ == 0;
  }
  if (last) unmap();
}

void receive_buffers::abandon() noexcept {
  bool last = false;
  {
    const base::guard hold(lock_);
    abandoned_ = true;
    last = out_ == 0;
  }
  if (last) unmap();
}

}  // namespace treadle::io
