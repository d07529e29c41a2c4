#include "treadle/shim/threads/futex_queue.hpp"

#include <cstddef>

#include "treadle/base/cache_line.hpp"
#include "treadle/shim/program_memory.hpp"
#include "treadle/shim/threads/wait.hpp"

namespace treadle::shim {

struct waiter {
  // Fixed after queueing.
  const std::uint32_t* word = nullptr;
  std::uint32_t bits = ~0u;
  core::thread* who = nullptr;
  // Guarded by the bucket's lock.
  waiter* next = nullptr;
  waiter* previous = nullptr;
  std::uint64_t arrival = 0;
  // Set by the waker, with the bucket's lock held: the last touch of this node.
  base::atomic<bool> woken{false};
};

struct alignas(base::false_sharing_bytes) bucket {
  base::spin_lock lock;
  // Guarded by lock. In order of arrival.
  waiter* first = nullptr;
  waiter* last = nullptr;
  std::uint64_t arrivals = 0;

  void push(waiter& fresh) noexcept {
    fresh.arrival = ++arrivals;
    fresh.previous = last;
    (last != nullptr ? last->next : first) = &fresh;
    last = &fresh;
  }
  void remove(waiter& one) noexcept {
    (one.previous != nullptr ? one.previous->next : first) = one.next;
    (one.next != nullptr ? one.next->previous : last) = one.previous;
  }
};

// Guess: with a thousand waiters most buckets hold one.
constexpr unsigned bucket_bits = 10;
// Fibonacci hashing. Source: Knuth, The Art of Computer Programming, volume 3, 6.4.
constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;

// The door's own numbers.
static_assert(sizeof(bucket) == 1u << 7 && offsetof(bucket, lock) == 0 &&
              offsetof(bucket, first) == 8 && 64 - bucket_bits == 54);

}  // namespace treadle::shim

// The door looks for itself whether nobody waits: a bucket that is not locked and has no waiter,
// after a full fence. Who is about to wait takes the lock, which is such a fence, and then looks at
// the word: either it sees what the waker has made of the word, or the waker sees it.
extern "C" {
constinit treadle::shim::bucket treadle_shim_buckets[1u << treadle::shim::bucket_bits]
    __attribute__((visibility("hidden")));
extern const std::uint64_t treadle_shim_bucket_factor __attribute__((visibility("hidden")));
const std::uint64_t treadle_shim_bucket_factor = treadle::shim::golden;
}

namespace treadle::shim {
namespace {

bucket& bucket_of(const std::uint32_t* word) noexcept {
  return treadle_shim_buckets[(reinterpret_cast<std::uintptr_t>(word) >> 2) * golden >>
                              (64 - bucket_bits)];
}

}  // namespace

queue_end wait_in_queue(program_thread& self, const std::uint32_t* word, std::uint32_t value,
                        std::uint32_t bits, base::deadline until) noexcept {
  bucket& mine = bucket_of(word);
  // relaxed: our own
  waiter node{word, bits, self.self.load(base::relaxed)};
  {
    const base::guard hold(mine.lock);
    std::uint32_t seen;
    if (!load_word(word, seen)) return queue_end::not_there;
    if (seen != value) return queue_end::another_value;
    mine.push(node);
  }
  const wait_result how =
      // acquire: pairs with wake_in_queue()
      wait_for(self, until, core::wait_reason::mutex,
               [&node]() noexcept { return node.woken.load(base::acquire); });
  if (how == wait_result::done) return queue_end::woken;
  const base::guard hold(mine.lock);
  // relaxed: the lock orders it
  if (node.woken.load(base::relaxed)) return queue_end::woken;
  mine.remove(node);
  return how == wait_result::timed_out ? queue_end::timed_out : queue_end::interrupted;
}

namespace {

// `woken` queue_end says that it waits in all of them.
queue_end enter_queues(program_thread& self, const queue_place* places, unsigned count,
                       waiter* nodes, unsigned& entered) noexcept {
  for (entered = 0; entered < count; ++entered) {
    const queue_place& place = places[entered];
    waiter& node = nodes[entered];
    node.word = place.word;
    node.who = self.self.load(base::relaxed);  // relaxed: our own
    bucket& its = bucket_of(place.word);
    const base::guard hold(its.lock);
    std::uint32_t seen;
    if (!load_word(place.word, seen)) return queue_end::not_there;
    if (seen != place.value) return queue_end::another_value;
    its.push(node);
  }
  return queue_end::woken;
}

// Whether one of them was woken: the last such.
bool leave_queues(waiter* nodes, unsigned entered, unsigned& woken) noexcept {
  bool is_woken = false;
  for (unsigned i = 0; i < entered; ++i) {
    bucket& its = bucket_of(nodes[i].word);
    const base::guard hold(its.lock);
    // relaxed: the lock orders it
    if (nodes[i].woken.load(base::relaxed)) {
      is_woken = true;
      woken = i;
    } else {
      its.remove(nodes[i]);
    }
  }
  return is_woken;
}

}  // namespace

queue_end wait_in_queues(program_thread& self, const queue_place* places, unsigned count,
                         base::deadline until, unsigned& woken) noexcept {
  waiter nodes[queue_places_max];
  unsigned entered = 0;
  queue_end end = enter_queues(self, places, count, nodes, entered);
  if (entered == count) {
    const auto one_is_woken = [&nodes, count]() noexcept {
      for (unsigned i = 0; i < count; ++i) {
        if (nodes[i].woken.load(base::acquire)) return true;  // pairs with wake_in_queue()
      }
      return false;
    };
    const wait_result how = wait_for(self, until, core::wait_reason::mutex, one_is_woken);
    end = how == wait_result::timed_out ? queue_end::timed_out : queue_end::interrupted;
  }
  return leave_queues(nodes, entered, woken) ? queue_end::woken : end;
}

long wake_in_queue(const std::uint32_t* word, unsigned count, std::uint32_t bits) noexcept {
  bucket& mine = bucket_of(word);
  long woken = 0;
  // Of those who were there at the beginning. Who is woken may wait again at once, and would be
  // woken once more, perhaps for ever.
  std::uint64_t last_arrival = 0;
  while (woken < static_cast<long>(count)) {
    core::thread* who = nullptr;
    {
      const base::guard hold(mine.lock);
      if (woken == 0) last_arrival = mine.arrivals;
      waiter* one = mine.first;
      while (one != nullptr && (one->word != word || (one->bits & bits) == 0)) one = one->next;
      if (one == nullptr || one->arrival > last_arrival) break;
      mine.remove(*one);
      who = one->who;
      one->woken.store(true, base::release);  // pairs with wait_in_queue()
    }
    // The record outlives the node; a wake-up that comes late is a stray one.
    core::scheduler_port::unpark(*who);
    ++woken;
  }
  return woken;
}

}  // namespace treadle::shim
