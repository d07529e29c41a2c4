// As many threads as memory allows, again and again: `refill MODEL`, m:1 or m:n.
//
// No memory can be had from the first round on. Rounds make threads by turns from outside the
// runtime and from a thread of it; what one of them has used the next must get, wherever those
// threads have ended. A busy machine may hold it up, so each round has many tries. Exit code 4 and
// a line when it never gets them.
#include <cerrno>
#include <cstdio>
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
  constexpr int rounds = 10;
  constexpr int tries = 200;
  for (int round = 0; round < rounds; ++round) {
    std::size_t got = 0;
    // From inside there is one less: the thread that makes them.
    const bool inside = round % 2 == 0;
    for (int i = 0; i < tries && got < all - inside; ++i) {
      got = inside ? fill_from_inside(all - 1) : fill(all);
    }
    if (got < all - inside) {
      std::printf("round %d: never more than %zu\n", round, got);
      return 4;
    }
  }
  return all < plenty ? 0 : 1;
}
