// Tasks, small enough to copy. docs/tasks.md shows the functions of this file to the letter.
#include <treadle/treadle.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using treadle::task;
namespace co = treadle::co;

task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await co::when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

task<> produce(treadle::channel<int>& numbers, int count) {
  for (int i = 1; i <= count; ++i) co_await co::send(numbers, i);
  numbers.close();
}

task<int> consume(treadle::channel<int>& numbers) {
  int sum = 0;
  for (;;) {
    const auto next = co_await co::receive(numbers);
    if (!next) co_return sum;
    sum += *next;
  }
}

// The producer is a task, the consumer one, too; the thread that asks waits for it.
int sum_up_to(int count) {
  treadle::channel<int> numbers(16);
  auto producer = treadle::spawn(produce(numbers, count));
  const int sum = treadle::block_on(consume(numbers));
  producer.join();
  return sum;
}

task<> visit(treadle::mutex& guard, int& visits) {
  co_await co::sleep_for(1ms);
  const auto hold = co_await co::lock(guard);
  ++visits;
}

// Ten thousand that sleep at once: each is a frame and a cache line.
task<int> crowd() {
  treadle::mutex guard;
  int visits = 0;
  co::scope children;
  for (int i = 0; i < 10'000; ++i) children.spawn(visit(guard, visits));
  co_await children.join();
  co_return visits;
}

// A permit within a second, unless the stop comes first.
task<bool> try_enter(treadle::counting_semaphore<>& seats, std::stop_token closing) {
  co_return co_await co::acquire(seats, treadle::wait_limit(1s, std::move(closing)));
}

int slow_square(int n) {
  treadle::this_thread::sleep_for(1ms);
  return n * n;
}

// What blocks runs as a thread, and the task waits for it.
task<int> squares() {
  const int first = co_await co::run([] { return slow_square(3); });
  const int second = co_await co::run([] { return slow_square(4); });
  co_return first + second;
}

// An adapter for who knows senders: the receiver of schedule() runs on a carrier.
struct counts_down {
  treadle::latch* done;
  void set_value() && noexcept { done->count_down(); }
  void set_stopped() && noexcept { done->count_down(); }
  void set_error(std::exception_ptr) && noexcept { done->count_down(); }
};

void run_on_a_carrier() {
  treadle::latch done(1);
  auto operation = treadle::connect(treadle::task_scheduler().schedule(), counts_down{&done});
  operation.start();
  done.wait();
}

int main() {
  std::printf("fib(15) = %d\n", treadle::block_on(fib(15)));
  std::printf("1 + ... + 100 = %d\n", sum_up_to(100));
  std::printf("%d visits\n", treadle::block_on(crowd()));
  treadle::counting_semaphore<> seats(1);
  std::printf("a seat: %d\n", treadle::block_on(try_enter(seats, {})));
  std::printf("3 * 3 + 4 * 4 = %d\n", treadle::block_on(squares()));
  run_on_a_carrier();
}
