// Channels, select, oneshot and broadcast, small enough to copy. docs/channels.md shows the
// functions of this file to the letter.
#include <treadle/treadle.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

int sum_of_squares(int count) {
  treadle::channel<int> numbers(16);
  treadle::channel<int> squares(16);
  treadle::scope workers;
  workers.spawn([&] {
    for (int i = 1; i <= count; ++i) numbers.send(i);
    numbers.close();
  });
  workers.spawn([&] {
    for (const int n : numbers) squares.send(n * n);
    squares.close();
  });
  int sum = 0;
  for (const int square : squares) sum += square;
  workers.join();
  return sum;
}

// Serves two queues until both are closed; says so when nothing came for a second.
int serve(treadle::channel<int>& urgent, treadle::channel<int>& normal) {
  int served = 0;
  bool urgent_open = true;
  bool normal_open = true;
  const auto serve_one = [&](bool& open) {
    return [&](std::optional<int> job) { job ? void(++served) : void(open = false); };
  };
  const auto idle = [] { std::puts("idle"); };
  while (urgent_open && normal_open) {
    treadle::select(on_receive(urgent, serve_one(urgent_open)),
                    on_receive(normal, serve_one(normal_open)), treadle::after(1s, idle));
  }
  while (urgent_open) serve_one(urgent_open)(urgent.receive());
  while (normal_open) serve_one(normal_open)(normal.receive());
  return served;
}

std::string ask_once() {
  auto [sender, receiver] = treadle::make_oneshot<std::string>();
  treadle::jthread worker(
      [answer = std::move(sender)]() mutable { std::move(answer).send("done"); });
  auto said = receiver.receive(1s);
  return said ? std::move(*said) : "the worker has gone";
}

int tell_everybody() {
  treadle::broadcast<int> news(8);
  std::vector<treadle::jthread> readers;
  treadle::channel<int> heard(treadle::unbounded);
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&heard, mine = news.subscribe()]() mutable {
      while (auto one = mine.receive()) heard.send(*one);
    });
  }
  for (int i = 1; i <= 4; ++i) news.send(i);
  news.close();
  readers.clear();
  heard.close();
  int sum = 0;
  for (const int one : heard) sum += one;
  return sum;
}

int main() {
  const int squares = sum_of_squares(100);
  treadle::channel<int> urgent;
  treadle::channel<int> normal(4);
  treadle::jthread jobs([&] {
    for (int i = 0; i < 10; ++i) (i % 2 == 0 ? urgent : normal).send(i);
    urgent.close();
    normal.close();
  });
  const int served = serve(urgent, normal);
  const std::string answer = ask_once();
  const int heard = tell_everybody();
  std::printf("%d %d %s %d\n", squares, served, answer.c_str(), heard);
  return squares == 338350 && served == 10 && answer == "done" && heard == 30 ? 0 : 1;
}
