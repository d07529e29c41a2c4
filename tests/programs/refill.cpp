// As many threads as memory allows, again and again: `refill MODEL`, m:1 or m:n.
//
// No memory can be had from the first round on. Rounds make threads by turns from outside the
// runtime, from a thread of it, and in m:n beside one that is away in the kernel; what one of them
// has used the next must get, wherever those threads have ended. A busy machine may hold it up, so
// each round has many tries. Exit code 4 and a line when it never gets them.
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <string_view>
#include <system_error>
#include <treadle/treadle.hpp>
#include <vector>

#include "treadle/base/system_call.hpp"

namespace {

using treadle::base::faulty_call;

// False when a thread is refused.
template <class F>
bool start(std::vector<treadle::thread>& threads, F f) {
  try {
    threads.emplace_back(f);
    return true;
  } catch (const std::system_error& error) {
    if (error.code().value() != EAGAIN) throw;
    return false;
  }
}

// How many threads there can be at a time, up to `most`; all have ended when it returns.
std::size_t fill(std::size_t most) {
  treadle::latch go(1);
  std::vector<treadle::thread> threads;
  threads.reserve(most);
  while (threads.size() < most && start(threads, [&go] { go.wait(); })) {
  }
  go.count_down();
  for (treadle::thread& each : threads) each.join();
  return threads.size();
}

std::size_t fill_from_inside(std::size_t most) {
  std::size_t made = 0;
  std::vector<treadle::thread> maker;
  if (start(maker, [&made, most] { made = fill(most); })) maker.front().join();
  return made;
}

// What another thread has kept that is away in the kernel by then.
std::size_t fill_beside_blocked(std::size_t most) {
  std::atomic<bool> is_away = false;
  std::atomic<bool> may_end = false;
  std::size_t made = 0;
  std::vector<treadle::thread> other;
  const bool started = start(other, [&is_away, &may_end, most] {
    fill(most);
    const treadle::blocking_region here;
    is_away = true;
    is_away.notify_one();
    may_end.wait(false);
  });
  if (!started) return 0;
  is_away.wait(false);
  made = fill(most);
  may_end = true;
  may_end.notify_one();
  other.front().join();
  return made;
}

using filling = std::size_t (*)(std::size_t most);

}  // namespace

int main(int count, char** words) {
  if (count != 2) return 2;
  treadle::runtime_options options;
  options.model = treadle::parse_model(words[1]);
  if (options.model == treadle::model::many_to_many) options.width = 3;
  treadle::runtime::set_default_options(options);
  treadle::thread([] {}).join();
  for (const faulty_call call : {faulty_call::mmap, faulty_call::madvise, faulty_call::mprotect}) {
    treadle::base::fail_from(call, 1, ENOMEM);
  }
  constexpr std::size_t plenty = 100'000;
  const std::size_t all = fill(plenty);
  std::printf("%zu threads\n", all);
  constexpr std::size_t rounds = 12;
  constexpr int tries = 200;
  constexpr filling ways[] = {fill_from_inside, fill, fill_beside_blocked};
  // In m:1 nobody runs beside who is in the kernel.
  const std::size_t ways_here =
      std::size(ways) - (options.model == treadle::model::many_to_one ? 1 : 0);
  for (std::size_t round = 0; round < rounds; ++round) {
    const filling way = ways[round % ways_here];
    // There may be one more, which makes them or is away.
    const std::size_t most = way == fill ? all : all - 1;
    std::size_t got = 0;
    for (int i = 0; i < tries && got < most; ++i) got = way(most);
    if (got < most) {
      std::printf("round %zu: never more than %zu\n", round, got);
      return 4;
    }
  }
  return all < plenty ? 0 : 1;
}
