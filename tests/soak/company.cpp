// sleepers, locks, threads, scopes, stops: what threads do with each other, with known sums.
#include <algorithm>
#include <array>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

namespace io = treadle::io;
using clock = std::chrono::steady_clock;

void sleeper_turn(seat& mine) {
  crowd all;
  const unsigned count = 10 + mine.draw(60);
  for (unsigned i = 0; i < count; ++i) {
    all.add([&mine, span = microseconds(mine.draw(15'000))] {
      const auto start = clock::now();
      treadle::this_thread::sleep_for(span);
      SOAK_CHECK(clock::now() - start >= span, "a sleep ended early", span.count());
      mine.count(0);
    });
  }
  mine.mark("asleep");
  all.join();
}

enum lock_count { sections, passed, permitted };

class bounded_buffer {
 public:
  void put(unsigned number) {
    std::unique_lock hold(lock_);
    emptied_.wait(hold, [this] { return count_ < kept_.size(); });
    kept_[(first_ + count_++) % kept_.size()] = number;
    filled_.notify_one();
  }
  unsigned take() {
    std::unique_lock hold(lock_);
    while (count_ == 0) static_cast<void>(filled_.wait_for(hold, microseconds(500)));
    const unsigned number = kept_[first_];
    first_ = (first_ + 1) % kept_.size();
    --count_;
    emptied_.notify_one();
    return number;
  }

 private:
  treadle::mutex lock_;
  treadle::condition_variable filled_;
  treadle::condition_variable emptied_;
  // Guarded by lock_.
  std::array<unsigned, 3> kept_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

void lock_turn(seat& mine) {
  constexpr unsigned workers = 4;
  constexpr unsigned rounds = 200;
  treadle::timed_mutex lock;
  long inside = 0;
  long total = 0;
  bounded_buffer buffer;
  std::atomic<unsigned> sum{0};
  treadle::counting_semaphore<> permits(2);
  std::atomic<int> holders{0};
  crowd all;
  for (unsigned w = 0; w < workers; ++w) {
    all.add([&, w] {
      for (unsigned i = 0; i < rounds; ++i) {
        while (!lock.try_lock_for(microseconds(i % 50))) treadle::this_thread::yield();
        SOAK_CHECK(++inside == 1, "two in a section", inside);
        if (i % 16 == 0) treadle::this_thread::yield();
        ++total;
        --inside;
        lock.unlock();
        if (w % 2 == 0) {
          buffer.put(i);
        } else {
          sum.fetch_add(buffer.take());
        }
        permits.acquire();
        SOAK_CHECK(holders.fetch_add(1) < 2, "more holders than permits", holders.load());
        holders.fetch_sub(1);
        permits.release();
      }
    });
  }
  mine.mark("at the locks");
  all.join();
  SOAK_CHECK(total == workers * rounds, "sections", total);
  SOAK_CHECK(sum.load() == workers / 2 * rounds * (rounds - 1) / 2, "passed on", sum.load());
  mine.count(sections, workers * rounds);
  mine.count(passed, workers / 2 * rounds);
  mine.count(permitted, workers * rounds);
}

enum thread_count { joined, detached, in_time, own_kernel };

void thread_turn(seat& mine) {
  std::atomic<unsigned> ran{0};
  const unsigned count = 20 + mine.draw(80);
  mine.mark("join");
  {
    crowd all;
    for (unsigned i = 0; i < count; ++i) all.add([&] { ran.fetch_add(1); });
  }
  SOAK_CHECK(ran.load() == count, "threads that ran", ran.load());
  mine.count(joined, count);
  mine.mark("detach");
  treadle::latch gone(count);
  for (unsigned i = 0; i < count; ++i) {
    treadle::thread([&] { gone.count_down(); }).detach();
  }
  gone.wait();
  mine.count(detached, count);
  mine.mark("try_join");
  treadle::thread late([&mine, span = microseconds(mine.draw(600))] {
    treadle::this_thread::sleep_for(span);
    mine.count(in_time);
  });
  while (!late.try_join(microseconds(100))) treadle::this_thread::yield();
  mine.mark("system scope");
  treadle::thread own({.name = "own", .scope = treadle::contention_scope::system}, [&] {
    ::usleep(100);
    ran.fetch_add(1);
  });
  own.join();
  SOAK_CHECK(ran.load() == count + 1, "threads that ran", ran.load());
  mine.count(own_kernel);
}

long fibonacci(unsigned n) {
  if (n < 2) return static_cast<long>(n);
  long left = 0;
  treadle::scope both;
  both.spawn([&] { left = fibonacci(n - 1); });
  const long right = fibonacci(n - 2);
  both.join();
  return left + right;
}

void scope_turn(seat& mine) {
  // In 1:1 each fork is a kernel thread.
  const bool dear = treadle::runtime::current().model() == treadle::model::one_to_one;
  mine.mark("fork and join");
  SOAK_CHECK(fibonacci(dear ? 6 : 12) == (dear ? 8 : 144), "Fibonacci", 0);
  mine.count(0);
  mine.mark("a child that throws");
  bool caught = false;
  try {
    treadle::scope group;
    group.spawn([] { throw std::runtime_error("from a child"); });
    group.spawn([&mine] { treadle::this_thread::sleep_for(microseconds(mine.of.copies)); });
    group.join();
  } catch (const std::runtime_error&) {
    caught = true;
  }
  SOAK_CHECK(caught, "an exception was lost", 0);
  mine.count(1);
  treadle::this_thread::sleep_for(microseconds(mine.draw(2'000)));
}

enum stop_count { sleeps, conditions, reads, calls };

void stop_turn(seat& mine) {
  const pair_of_ends quiet = make_pipe();
  treadle::mutex lock;
  treadle::condition_variable_any never;
  std::atomic<int> called{0};
  std::atomic<bool> excused{false};
  std::deque<treadle::jthread> all;
  for (unsigned i = 0; i < 6; ++i) {
    all.emplace_back([&, i](const std::stop_token& token) {
      if (i % 3 == 0) {
        SOAK_CHECK(!treadle::this_thread::sleep_for(std::chrono::hours(1), token), "slept", 0);
        mine.count(sleeps);
      } else if (i % 3 == 1) {
        std::unique_lock hold(lock);
        SOAK_CHECK(!never.wait(hold, token, [] { return false; }), "a condition", 0);
        mine.count(conditions);
      } else {
        // The thread's own token.
        char byte = 0;
        const ssize_t got = io::read(quiet.reading.get(), &byte, 1);
        const int error = io::own_errno();
        if (got < 0 && is_drought(error)) {
          excused = true;
          return;
        }
        SOAK_CHECK(got == -1 && error == ECANCELED, "a stopped read", error);
        mine.count(reads);
      }
    });
  }
  // Outlive the threads: one that goes with its thread need not be called.
  const auto note_call = [&called] { called.fetch_add(1); };
  std::deque<std::stop_callback<decltype(note_call)>> notes;
  for (treadle::jthread& one : all) notes.emplace_back(one.get_stop_token(), note_call);
  if (mine.draw(2) == 0) treadle::this_thread::sleep_for(microseconds(mine.draw(1'000)));
  mine.mark("stopping");
  for (treadle::jthread& one : all) {
    SOAK_CHECK(one.request_stop(), "a stop was asked for before", 0);
  }
  for (treadle::jthread& one : all) one.join();
  if (excused) throw excuse();
  SOAK_CHECK(called.load() == 6, "stop callbacks", called.load());
  mine.count(calls, 6);
}

}  // namespace

const part sleepers{"sleepers", needs::nothing, 1, {"sleeps"}, sleeper_turn};
const part locks{"locks", needs::nothing, 2, {"sections", "passed-on", "permits"}, lock_turn};
const part threads{
    "threads", needs::nothing, 1, {"joined", "detached", "in-time", "own-kernel"}, thread_turn};
const part scopes{"scopes", needs::nothing, 1, {"fibonacci", "thrown"}, scope_turn};
const part stops{
    "stops", needs::nothing, 1, {"sleeps", "conditions", "reads", "callbacks"}, stop_turn};

}  // namespace soak
