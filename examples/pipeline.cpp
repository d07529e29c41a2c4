// Three stages joined by bounded queues: numbers, their Collatz lengths, the longest.
//
// Each stage blocks in plain condition variables, as it would with kernel threads. A bounded queue
// keeps a fast stage from filling memory: it parks until the slow one has caught up.
#include <treadle/treadle.hpp>

#include <cstdio>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace {

// A queue of at most `room_` values; pop() returns nothing once it is closed and empty.
template <class T>
class bounded_queue {
 public:
  explicit bounded_queue(std::size_t room) : room_(room) {}

  void push(T value) {
    treadle::unique_lock lock(guard_);
    not_full_.wait(lock, [this] { return values_.size() < room_; });
    values_.push_back(std::move(value));
    not_empty_.notify_one();
  }

  std::optional<T> pop() {
    treadle::unique_lock lock(guard_);
    not_empty_.wait(lock, [this] { return closed_ || !values_.empty(); });
    if (values_.empty()) return std::nullopt;
    T value = std::move(values_.front());
    values_.pop_front();
    not_full_.notify_one();
    return value;
  }

  void close() {
    const treadle::lock_guard lock(guard_);
    closed_ = true;
    not_empty_.notify_all();
  }

 private:
  const std::size_t room_;
  treadle::mutex guard_;
  treadle::condition_variable not_empty_;
  treadle::condition_variable not_full_;
  // Guarded by guard_.
  std::deque<T> values_;
  bool closed_ = false;
};

struct answer {
  long start = 0;
  int steps = 0;
};

answer collatz(long start) {
  int steps = 0;
  for (long n = start; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1) ++steps;
  return {start, steps};
}

}  // namespace

int main() {
  bounded_queue<long> numbers(16);
  bounded_queue<answer> answers(16);

  treadle::thread source([&] {
    for (long n = 1; n < 10'000; ++n) numbers.push(n);
    numbers.close();
  });

  std::vector<treadle::thread> workers;
  for (int i = 0; i < 8; ++i) {
    workers.emplace_back([&] {
      while (const std::optional<long> n = numbers.pop()) answers.push(collatz(*n));
    });
  }

  answer longest;
  treadle::thread sink([&] {
    while (const std::optional<answer> each = answers.pop()) {
      if (each->steps > longest.steps) longest = *each;
    }
  });

  source.join();
  for (treadle::thread& worker : workers) worker.join();
  answers.close();
  sink.join();
  std::printf("longest below 10000: %ld, %d steps\n", longest.start, longest.steps);
  return longest.start == 6171 && longest.steps == 261 ? 0 : 1;
}
