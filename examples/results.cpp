// Results, structure and loops: the snippets of docs/results.md, which tools/tidy_docs.py compares
// to the letter with the lines between the marks, and a main() that checks what they give.
#include <treadle/treadle.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

int ask(int n) {
  treadle::this_thread::sleep_for(1ms);
  return n;
}

bool stops_early() { return !treadle::this_thread::sleep_for(1h, treadle::stop_token()); }

int sum_of_two() {
  treadle::future<int> a = treadle::async(treadle::launch::async, ask, 1);
  treadle::future<int> b = treadle::async(treadle::launch::async, ask, 2);
  return a.get() + b.get();
}

int first_answer() {
  std::vector<treadle::future<int>> asked;
  for (int n = 0; n < 3; ++n) {
    asked.push_back(treadle::async(treadle::launch::async, ask, n));
  }
  auto any = treadle::when_any(std::move(asked)).get();
  return any.futures[any.index].get();
}

std::string all_or_nothing() {
  try {
    treadle::task_group group;
    group.run([] { stops_early(); });  // is stopped by the failure of its sibling
    group.run([] { throw std::runtime_error("no answer"); });
    group.wait();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "all have answered";
}

bool answered_in_time() {
  return treadle::with_deadline(5ms, [] {
    treadle::promise<void> never;
    return never.get_future().try_wait(treadle::this_thread::stop_token());
  });
}

double mean(std::vector<double>& values) {
  treadle::parallel_for(values.begin(), values.end(), [](double& value) { value *= 2; });
  const double sum = treadle::parallel_reduce(
      values.begin(), values.end(), 0.0, [](double value) { return value; }, std::plus<>());
  return sum / static_cast<double>(values.size());
}

int pooled() {
  treadle::thread_pool pool({.threads = 2, .queue_max = 16});
  std::vector<treadle::future<int>> answers;
  for (int n = 0; n < 100; ++n) answers.push_back(pool.submit(ask, n));  // waits for room
  int sum = 0;
  for (auto& each : answers) sum += each.get();
  return sum;
}

}  // namespace

int main() {
  const bool right = treadle::runtime::current().run([] {
    std::vector<double> values(10'000, 1.5);
    return sum_of_two() == 3 && first_answer() < 3 && all_or_nothing() == "no answer" &&
           !answered_in_time() && mean(values) == 3 && pooled() == 4950;
  });
  std::printf("results: %s\n", right ? "right" : "WRONG");
  return right ? 0 : 1;
}
