#include "treadle/shim/threads/program_thread.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <new>

#include "treadle/shim/door/seat.hpp"
#include "treadle/shim/kernel_call.hpp"

namespace treadle::shim {
namespace {

// Sourced: PID_MAX_LIMIT of Linux is 2^22, so no kernel thread's number is this large; and the
// clock of a thread has room for 28 bits of its number (cpu_time.cpp).
constexpr int first_id = 0x1000000;
constexpr int last_id = 0xfffffff;

// Guess: records are some 700 bytes; a mapping for each would cost more.
constexpr std::size_t records_at_once = 64;

// Neighbours among processes begin far from each other. Fibonacci hashing, as in futex_queue.cpp.
int first_id_of_process() noexcept {
  constexpr std::uint32_t golden = 0x9e3779b9;
  constexpr auto count = std::uint64_t{last_id - first_id + 1};
  const auto process = static_cast<std::uint32_t>(kernel_call(SYS_getpid));
  return first_id + static_cast<int>(count * (process * golden) >> 32);
}

constinit thread_book book;

}  // namespace

bool is_number_of_ours(std::uint32_t number) noexcept { return number >= std::uint32_t{first_id}; }

thread_book& threads() noexcept { return book; }

program_thread* thread_book::take_free() noexcept {
  if (free_ == nullptr) {
    const long memory = kernel_call(SYS_mmap, nullptr, records_at_once * sizeof(program_thread),
                                    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0) return nullptr;
    auto* fresh = reinterpret_cast<program_thread*>(memory);
    for (std::size_t i = 0; i < records_at_once; ++i) {
      auto* one = ::new (fresh + i) program_thread;
      one->next = free_;
      free_ = one;
    }
  }
  program_thread* found = free_;
  free_ = found->next;
  return found;
}

void thread_book::link(program_thread& fresh) noexcept {
  fresh.previous = nullptr;
  fresh.next = first_;
  if (first_ != nullptr) first_->previous = &fresh;
  first_ = &fresh;
  program_thread*& bucket = buckets_[static_cast<unsigned>(fresh.id) % bucket_count];
  fresh.next_in_bucket = bucket;
  bucket = &fresh;
  ++staying_;
  // relaxed, all: numbers for reports
  const unsigned now = alive_.load(base::relaxed) + 1;
  alive_.store(now, base::relaxed);
  if (now > most_.load(base::relaxed)) most_.store(now, base::relaxed);
}

program_thread* thread_book::add(std::uint64_t mask) noexcept {
  const base::guard hold(lock);
  program_thread* found = take_free();
  if (found == nullptr) return nullptr;
  ::new (found) program_thread;
  found->mask.store(mask, base::relaxed);  // relaxed: the lock publishes it
  do {
    if (last_id_ == 0) {
      last_id_ = first_id_of_process();
    } else {
      last_id_ = last_id_ == last_id ? first_id : last_id_ + 1;
    }
    found->id = last_id_;
  } while (find(found->id) != nullptr);
  created_.fetch_add(1, base::relaxed);  // relaxed: for reports
  link(*found);
  return found;
}

void thread_book::add_leader(program_thread& leader, int id) noexcept {
  const base::guard hold(lock);
  leader.id = id;
  leader.is_leader = true;
  link(leader);
}

bool thread_book::is_last_or_leaves(program_thread& ending) noexcept {
  if (staying_ == 1) return true;
  --staying_;
  ending.leaves = true;
  return false;
}

void thread_book::remove(program_thread& ended) noexcept {
  const base::guard hold(lock);
  if (!ended.leaves) --staying_;
  (ended.previous != nullptr ? ended.previous->next : first_) = ended.next;
  if (ended.next != nullptr) ended.next->previous = ended.previous;
  program_thread** at = &buckets_[static_cast<unsigned>(ended.id) % bucket_count];
  while (*at != &ended) at = &(*at)->next_in_bucket;
  *at = ended.next_in_bucket;
  alive_.store(alive_.load(base::relaxed) - 1, base::relaxed);  // relaxed, both: for reports
  ended.pending.clear();
  if (ended.is_leader) return;
  ended.next = free_;
  free_ = &ended;
}

program_thread* thread_book::find(int id) noexcept {
  program_thread* one = buckets_[static_cast<unsigned>(id) % bucket_count];
  while (one != nullptr && one->id != id) one = one->next_in_bucket;
  return one;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // no standard layout by the letter
constexpr std::size_t thread_book::offset_of_first() noexcept {
  return offsetof(thread_book, first_);
}

}  // namespace treadle::shim

extern "C"
    [[gnu::used]] constinit const treadle::shim::debugger_table treadle_shim_debugger_table = {
        .mark = {'t', 'r', 'd', 's', 'h', 'i', 'm', '1'},
        .book = &treadle::shim::book,
        .first = treadle::shim::thread_book::offset_of_first(),
        .next = offsetof(treadle::shim::program_thread, next),
        .id = offsetof(treadle::shim::program_thread, id),
        .self = offsetof(treadle::shim::program_thread, self),
        .last_call = offsetof(treadle::shim::program_thread, last_call),
        .occupant = offsetof(treadle::shim::seat, occupant),
};
#pragma GCC diagnostic pop
