// The ring and the crowd.
#include "treadle/lab/hand_off.hpp"

#include <pthread.h>

#include <memory>
#include <vector>

#include "treadle/lab/affinity.hpp"
#include "treadle/lab/spin.hpp"
#include "treadle/lab/stopwatch.hpp"
#include "treadle/latch.hpp"
#include "treadle/mutex.hpp"
#include "treadle/semaphore.hpp"
#include "treadle/shared_mutex.hpp"
#include "treadle/spinlock.hpp"
#include "treadle/thread.hpp"

namespace treadle::lab {
namespace {

// Runs body(index) on `of.threads` threads; the clock runs from the moment when all have started
// until all have ended.
template <class Body>
double timed_together(const contest& of, Body&& body) {
  latch started(of.threads);
  latch gate(1);
  std::vector<thread> threads;
  threads.reserve(of.threads);
  const int cpu = allowed_cpus().front();
  for (unsigned index = 0; index < of.threads; ++index) {
    threads.emplace_back([&, index] {
      std::optional<pinned> hold;
      if (of.one_cpu) hold.emplace(cpu);
      started.count_down();
      gate.wait();
      body(index);
    });
  }
  started.wait();
  // One runs at a time where all share a CPU; a crowd on several CPUs is timed by the wall.
  const stopwatch watch(of.one_cpu || of.model == model::many_to_one ? time_kind::cpu
                                                                     : time_kind::wall);
  gate.count_down();
  for (thread& each : threads) each.join();
  return watch.nanoseconds();
}

double run_ring(const contest& of, std::uint64_t passes) {
  // Each seat on its own heap block: neighbours must not share a cache line by accident of layout.
  struct alignas(128) seat {
    binary_semaphore turn{0};
  };
  std::vector<std::unique_ptr<seat>> seats;
  for (unsigned index = 0; index < of.threads; ++index) seats.push_back(std::make_unique<seat>());
  const std::uint64_t laps = passes / of.threads;
  seats.front()->turn.release();
  return timed_together(of, [&](unsigned index) {
    binary_semaphore& mine = seats[index]->turn;
    binary_semaphore& next = seats[(index + 1) % of.threads]->turn;
    for (std::uint64_t lap = 0; lap < laps; ++lap) {
      mine.acquire();
      spin(of.section_turns);
      // The very last pass would go to a thread that has ended.
      if (lap + 1 < laps || index + 1 < of.threads) next.release();
    }
  });
}

struct nptl_mutex {
  pthread_mutex_t native = PTHREAD_MUTEX_INITIALIZER;
  void lock() { ::pthread_mutex_lock(&native); }
  void unlock() { ::pthread_mutex_unlock(&native); }
};

template <class Lock>
double run_crowd(const contest& of, std::uint64_t sections) {
  Lock hot;
  const std::uint64_t each = sections / of.threads;
  return timed_together(of, [&](unsigned) {
    for (std::uint64_t turn = 0; turn < each; ++turn) {
      hot.lock();
      spin(of.section_turns);
      hot.unlock();
    }
  });
}

template <class Run>
sample measured(lab_context& lab, const contest& of, Run run) {
  runtime own{{.model = of.model, .width = of.width}};
  return own.run([&] {
    // Rounded to whole laps, so that the divisor is what was done.
    const auto whole = [&](std::uint64_t count) { return count / of.threads * of.threads; };
    // guess: 16 laps are enough for a first look even at 10 us a hand-off.
    const std::uint64_t first = std::uint64_t{16} * of.threads;
    const std::uint64_t operations = whole(operations_lasting(
        lab.span(), first, [&](std::uint64_t count) { return run(of, whole(count)); }));
    return repeat(lab.repetitions(),
                  [&] { return run(of, operations) / static_cast<double>(operations); });
  });
}

}  // namespace

sample ring_cost(lab_context& lab, const contest& of) { return measured(lab, of, run_ring); }

sample crowd_cost(lab_context& lab, const contest& of, lock_kind kind) {
  switch (kind) {
    case lock_kind::plain:
      return measured(lab, of, run_crowd<mutex>);
    case lock_kind::timed:
      return measured(lab, of, run_crowd<timed_mutex>);
    case lock_kind::recursive:
      return measured(lab, of, run_crowd<recursive_mutex>);
    case lock_kind::recursive_timed:
      return measured(lab, of, run_crowd<recursive_timed_mutex>);
    case lock_kind::shared:
      return measured(lab, of, run_crowd<shared_mutex>);
    case lock_kind::shared_timed:
      return measured(lab, of, run_crowd<shared_timed_mutex>);
    case lock_kind::spin:
      return measured(lab, of, run_crowd<spinlock>);
    case lock_kind::nptl:
      break;
  }
  return measured(lab, of, run_crowd<nptl_mutex>);
}

std::string_view to_string(lock_kind kind) {
  switch (kind) {
    case lock_kind::plain:
      return "mutex";
    case lock_kind::timed:
      return "timed_mutex";
    case lock_kind::recursive:
      return "recursive_mutex";
    case lock_kind::recursive_timed:
      return "recursive_timed_mutex";
    case lock_kind::shared:
      return "shared_mutex";
    case lock_kind::shared_timed:
      return "shared_timed_mutex";
    case lock_kind::spin:
      return "spinlock";
    case lock_kind::nptl:
      break;
  }
  return "pthread_mutex_t";
}

}  // namespace treadle::lab
