// The workloads, written once over a peer. Every peer runs exactly this code; what differs is the
// adapter, which is a class of static functions and types:
//
//   thread             a handle; P::spawn(f) makes one, P::join(handle) waits for its end
//   spawn_detached(f)  a thread that nobody joins, held as cheaply as the peer can
//   yield()            gives way to another thread of the peer
//   mutex, semaphore   lock/unlock; acquire/release, starting at 0
//   shared_mutex       lock_shared/unlock_shared; a peer may have none
//   read_mostly        begin/end of a read section, wait_for_readers(); a peer may have none
//   unbuffered, buffered   channels of long, made with a capacity: put(), get(), close()
//   get_from_any()     where there is a select: receives from one of four
//   scope              spawn(f), join(): the peer's best way to fork and join
//   parallel_for(workers, n, f)      f(0) to f(n - 1) by all workers; not every peer has it
//   enter(workers, stack_bytes, f)   runs f as a thread of the peer
//   spawn_divisor, step_divisor      how much less a slow peer does, so that all last about as long
//   fib_argument, skynet_leaves      the size of the trees this peer is given
//
// A repetition is a function of the size; all of them run inside enter().
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "measure.hpp"

namespace treadle::bench {

/// Two threads; each yields `yields` times.
template <class P>
repetition yield_between_two(long yields) {
  const auto body = [yields] {
    for (long turn = 0; turn < yields; ++turn) P::yield();
  };
  const stopwatch watch;
  auto first = P::spawn(body);
  auto second = P::spawn(body);
  P::join(first);
  P::join(second);
  return watch.stop(2.0 * static_cast<double>(yields));
}

template <class P>
repetition spawn_and_join(long threads) {
  const stopwatch watch;
  for (long made = 0; made < threads; ++made) {
    auto child = P::spawn([] {});
    P::join(child);
  }
  return watch.stop(static_cast<double>(threads));
}

template <class P>
repetition spawn_all_then_join(long threads) {
  std::vector<typename P::thread> children;
  children.reserve(static_cast<std::size_t>(threads));
  const stopwatch watch;
  for (long made = 0; made < threads; ++made) children.push_back(P::spawn([] {}));
  for (auto& child : children) P::join(child);
  return watch.stop(static_cast<double>(threads));
}

/// Two threads, two semaphores: only one of the two can run at any time.
template <class P>
repetition hand_over(long rounds) {
  typename P::semaphore there;
  typename P::semaphore back;
  const stopwatch watch;
  // The semaphores as the loops' own variables: to find them through the closure again at each turn
  // would be part of what is measured.
  auto first = P::spawn([&there, &back, rounds] {
    auto* const gives = &there;
    auto* const takes = &back;
    for (long round = 0; round < rounds; ++round) {
      gives->release();
      takes->acquire();
    }
  });
  auto second = P::spawn([&there, &back, rounds] {
    auto* const takes = &there;
    auto* const gives = &back;
    for (long round = 0; round < rounds; ++round) {
      takes->acquire();
      gives->release();
    }
  });
  P::join(first);
  P::join(second);
  return watch.stop(2.0 * static_cast<double>(rounds));
}

/// As many senders as receivers. The sum proves that each value arrived.
template <class P, class Channel>
repetition through_a_channel(std::size_t capacity, long each_side, long values) {
  Channel channel(capacity);
  const long each = values / each_side;
  std::vector<long> sums(static_cast<std::size_t>(each_side));
  std::vector<typename P::thread> senders;
  std::vector<typename P::thread> receivers;
  const stopwatch watch;
  for (long& sum : sums) {
    senders.push_back(P::spawn([&channel, each] {
      auto* const to = &channel;
      for (long value = 1; value <= each; ++value) to->put(value);
    }));
    receivers.push_back(P::spawn([&channel, &sum] {
      auto* const from = &channel;
      long here = 0;
      for (long value = 0; from->get(value);) here += value;
      sum = here;
    }));
  }
  for (auto& one : senders) P::join(one);
  channel.close();
  for (auto& one : receivers) P::join(one);
  const repetition result = watch.stop(static_cast<double>(each * each_side));
  long sum = 0;
  for (const long one : sums) sum += one;
  if (sum != each_side * (each * (each + 1) / 2)) throw std::runtime_error("a value was lost");
  return result;
}

/// Four channels, one of them full, each in its turn: only what empties it is timed.
template <class P>
repetition receive_what_is_there(long values, bool by_select) {
  constexpr long room = 16'384;  // guess: long against the clocks, small against the caches
  struct channel_with_room : P::buffered {
    channel_with_room() : P::buffered(static_cast<std::size_t>(room)) {}
  };
  std::array<channel_with_room, 4> channels;
  repetition result;
  for (long done = 0; done < values; done += room) {
    auto* const full = &channels[static_cast<std::size_t>(done / room % 4)];
    for (long value = 1; value <= room; ++value) full->put(value);
    long sum = 0;
    const stopwatch watch;
    for (long left = room; left != 0; --left) {
      long value = 0;
      if (by_select) {
        P::get_from_any(channels, value);
      } else {
        full->get(value);
      }
      sum += value;
    }
    const repetition turn = watch.stop(static_cast<double>(room));
    if (sum != room * (room + 1) / 2) throw std::runtime_error("a value was lost");
    result.operations += turn.operations;
    result.cpu_seconds += turn.cpu_seconds;
    result.wall_seconds += turn.wall_seconds;
  }
  return result;
}

template <class P>
repetition lock_alone(long pairs) {
  typename P::mutex lock;
  const stopwatch watch;
  for (long pair = 0; pair < pairs; ++pair) {
    lock.lock();
    lock.unlock();
  }
  return watch.stop(static_cast<double>(pairs));
}

/// One thread for each worker, all reading; nobody ever writes.
template <class P>
repetition read_together(long pairs, unsigned workers) {
  typename P::shared_mutex lock;
  std::vector<typename P::thread> readers;
  const stopwatch watch;
  for (unsigned made = 0; made < workers; ++made) {
    readers.push_back(P::spawn([&lock, pairs] {
      for (long pair = 0; pair < pairs; ++pair) {
        lock.lock_shared();
        lock.unlock_shared();
      }
    }));
  }
  for (auto& reader : readers) P::join(reader);
  return watch.stop(static_cast<double>(pairs) * workers);
}

/// A reader beside a writer that replaces what is read, waits until nobody reads the old one, and
/// begins again. The reader's own CPU time, with sections and without, a chunk of each in turn.
template <class P>
repetition read_beside_a_writer(long sections) {
  struct alignas(128) version {
    long value;
  };
  constexpr long chunk = 10'000;  // guess: long against the clock, short against a time slice
  const std::array<version, 2> versions{{{1}, {2}}};
  std::atomic<const version*> current{&versions[0]};
  std::atomic<bool> done{false};
  typename P::read_mostly guard;
  auto writer = P::spawn([&] {
    for (unsigned turn = 1; !done.load(std::memory_order_acquire); ++turn) {  // pairs with the end
      // release: pairs with the reader's load
      current.store(&versions[turn % 2], std::memory_order_release);
      guard.wait_for_readers();
      P::yield();
    }
  });
  repetition result;
  auto reader = P::spawn([&] {
    auto* const from = &current;
    auto* const section = &guard;
    // Volatile, so that no compiler adds up in another order.
    const auto add_one = [from](long& sum) {
      sum += from->load(std::memory_order_acquire)->value;  // pairs with the writer
      asm volatile("" : "+r"(sum));
    };
    long sum = 0;
    for (long left = sections; left > 0; left -= chunk) {
      const double before = read_clock(CLOCK_THREAD_CPUTIME_ID);
      for (long i = 0; i < chunk; ++i) add_one(sum);
      const double between = read_clock(CLOCK_THREAD_CPUTIME_ID);
      for (long i = 0; i < chunk; ++i) {
        section->begin();
        add_one(sum);
        section->end();
      }
      const double after = read_clock(CLOCK_THREAD_CPUTIME_ID);
      result.operations += static_cast<double>(chunk);
      result.serial_seconds += between - before;
      result.cpu_seconds += after - between;
      P::yield();
    }
    result.wall_seconds = result.cpu_seconds;
    if (sum < 2 * sections) throw std::runtime_error("a version was not read");
    done.store(true, std::memory_order_release);  // pairs with the writer's loop
  });
  P::join(reader);
  P::join(writer);
  return result;
}

/// 64 threads x `each` times: lock, count, spend `turns`, unlock. `take(lock)` locks. The count
/// proves the exclusion.
template <class P, class Take>
repetition lock_by_64_in(long each, std::uint64_t turns, Take take) {
  constexpr long threads = 64;
  typename P::mutex lock;
  std::uint64_t counted = 0;  // guarded by lock, as is `spent`
  std::uint64_t spent = 1;
  std::vector<typename P::thread> children;
  children.reserve(threads);
  const stopwatch watch;
  for (long made = 0; made < threads; ++made) {
    children.push_back(P::spawn([&lock, &counted, &spent, each, turns, take] {
      for (long turn = 0; turn < each; ++turn) {
        take(lock);
        ++counted;
        if (turns != 0) spent = spend(turns, spent);
        lock.unlock();
      }
    }));
  }
  for (auto& child : children) P::join(child);
  const repetition result = watch.stop(static_cast<double>(threads * each));
  if (counted != static_cast<std::uint64_t>(threads * each)) {
    throw std::runtime_error("the mutex did not exclude: the count is wrong");
  }
  return result;
}

/// And once more with a look at the clock before and after each lock, which is not timed: how long
/// a thread has waited for its turn at most.
template <class P>
repetition lock_by_64(long each, std::uint64_t turns) {
  repetition result = lock_by_64_in<P>(each, turns, [](typename P::mutex& lock) { lock.lock(); });
  double longest = 0;  // guarded by the mutex
  lock_by_64_in<P>(each, turns, [&longest](typename P::mutex& lock) {
    const double before = read_clock(CLOCK_MONOTONIC);
    lock.lock();
    longest = std::max(longest, read_clock(CLOCK_MONOTONIC) - before);
  });
  result.longest_wait = longest;
  return result;
}

/// Each thread sleeps once, for a time of its own. One that wakes early is an error.
template <class P>
repetition sleep_in_a_crowd(long threads) {
  constexpr std::uint32_t longest_milliseconds = 1000;
  std::vector<double> late(static_cast<std::size_t>(threads));
  std::vector<typename P::thread> children;
  children.reserve(late.size());
  std::uint32_t random = 1;
  const stopwatch watch;
  for (double& mine : late) {
    random = random * 1664525 + 1013904223;  // sourced: Numerical Recipes' quick generator
    const std::uint32_t span = (random >> 16) % (longest_milliseconds + 1);
    children.push_back(P::spawn([&mine, span] {
      const double start = read_clock(CLOCK_MONOTONIC);
      P::sleep(std::chrono::milliseconds(span));
      mine = read_clock(CLOCK_MONOTONIC) - start - static_cast<double>(span) * 1e-3;
    }));
  }
  for (auto& child : children) P::join(child);
  repetition result = watch.stop(static_cast<double>(threads));
  std::sort(late.begin(), late.end());
  // The two readings of the clock are exact to a nanosecond, their difference as double to less.
  if (late.front() < -1e-8) throw std::runtime_error("a sleeper woke early");
  result.median_late = late[late.size() / 2];
  result.worst_late = late.back();
  return result;
}

/// All threads wait for one semaphore; the growth of the process is what they cost. They are then
/// woken and counted, so that a thread that only pretends to be there would show.
template <class P>
repetition park_many(long threads) {
  // On the heap and never freed: the threads are not joined, and may still be leaving.
  struct shared_state {
    typename P::semaphore gate;
    std::atomic<long> arrived = 0;
    std::atomic<long> left = 0;
  };
  auto& shared = *new shared_state;
  const double before = resident_bytes();
  const stopwatch watch;
  long made = 0;
  try {
    for (; made < threads; ++made) {
      P::spawn_detached([&shared] {
        shared.arrived.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count, no data
        shared.gate.acquire();
        shared.left.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count, no data
      });
    }
  } catch (const std::exception& error) {
    throw std::runtime_error("after " + std::to_string(made) + " threads: " + error.what());
  }
  // relaxed: only the number matters
  while (shared.arrived.load(std::memory_order_relaxed) < threads) P::yield();
  P::yield();  // the last one may have counted and not yet parked
  repetition result = watch.stop(static_cast<double>(threads));
  result.bytes = resident_bytes() - before;
  for (long woken = 0; woken < threads; ++woken) shared.gate.release();
  // relaxed: only the number matters
  while (shared.left.load(std::memory_order_relaxed) < threads) P::yield();
  return result;
}

template <class P>
long fibonacci(long n) {
  if (n < 2) return n;
  long one = 0;
  typename P::scope fork;
  fork.spawn([&one, n] { one = fibonacci<P>(n - 1); });
  const long two = fibonacci<P>(n - 2);
  fork.join();
  return one + two;
}

/// fibonacci(n) spawns once for every call with n >= 2, which is fibonacci(n + 1) - 1 times.
template <class P>
repetition fibonacci_tree(long n) {
  long spawns = 1;  // becomes the (n + 1)-th number
  for (long before = 0, step = 0; step < n; ++step) {
    const long next = spawns + before;
    before = spawns;
    spawns = next;
  }
  const stopwatch watch;
  const long value = fibonacci<P>(n);
  const repetition result = watch.stop(static_cast<double>(spawns - 1));
  if (value < n - 1) throw std::runtime_error("fib gave a wrong number");
  return result;
}

template <class P>
long skynet(long number, long leaves) {
  if (leaves == 1) return number;
  constexpr long fan_out = 10;
  std::array<long, fan_out> sums{};
  const long share = leaves / fan_out;
  typename P::scope fork;
  for (long child = 0; child < fan_out; ++child) {
    long* const sum = &sums[static_cast<std::size_t>(child)];
    fork.spawn([=] { *sum = skynet<P>(number + child * share, share); });
  }
  fork.join();
  long total = 0;
  for (const long sum : sums) total += sum;
  return total;
}

/// The leaves are numbered from 0 and add up; every node but the root is a spawn.
template <class P>
repetition skynet_tree(long leaves) {
  long spawns = 0;
  for (long row = leaves; row > 1; row /= 10) spawns += row;
  const stopwatch watch;
  const long value = skynet<P>(0, leaves);
  const repetition result = watch.stop(static_cast<double>(spawns));
  if (value != leaves * (leaves - 1) / 2) throw std::runtime_error("skynet gave a wrong sum");
  return result;
}

/// The same loop twice: by one thread, and by all workers.
template <class P>
repetition loop_in_parallel(unsigned workers, long elements, std::uint64_t turns) {
  std::vector<std::uint8_t> done(static_cast<std::size_t>(elements));
  const auto body = [&done, turns](long element) {
    spend(turns);
    ++done[static_cast<std::size_t>(element)];
  };
  const stopwatch serial_watch;
  for (long element = 0; element < elements; ++element) body(element);
  const repetition serial = serial_watch.stop(static_cast<double>(elements));
  const stopwatch watch;
  P::parallel_for(workers, elements, body);
  repetition result = watch.stop(static_cast<double>(elements));
  result.serial_seconds = serial.wall_seconds;
  for (const std::uint8_t times : done) {
    if (times != 2) throw std::runtime_error("an element was left out or done twice");
  }
  return result;
}

}  // namespace treadle::bench
