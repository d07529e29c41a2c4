// Hogs: threads that compute without giving way, in malloc, in printf, amid throws and in floating
// point, and come to their known answer wherever they are stopped.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

// Guess: some slices long in a slow build, a part of one in a fast one; and as much rest, so that
// other parts have turns.
constexpr unsigned rounds = 40;

void rest(seat& mine) { treadle::this_thread::sleep_for(microseconds(1 + mine.draw(10'000))); }

void malloc_turn(seat& mine) {
  static std::atomic<char*> exchanged[64];
  std::unique_ptr<unsigned char[]> blocks[64];
  std::size_t sizes[64] = {};
  std::uint32_t random = mine.draw(1U << 30);
  const auto owner = static_cast<unsigned char>(random);
  for (unsigned i = 0; i < rounds * 200; ++i) {
    random = random * 1664525 + 1013904223;
    const std::size_t j = random >> 8 & 63;
    if (blocks[j]) {
      SOAK_CHECK(blocks[j][0] == owner && blocks[j][sizes[j] - 1] == owner, "a block changed", j);
    }
    sizes[j] = 2 + (random >> 16) % ((random & 0x700) != 0 ? 600 : 100'000);
    blocks[j].reset(new unsigned char[sizes[j]]);
    blocks[j][0] = blocks[j][sizes[j] - 1] = owner;
    // Made here, freed there.
    auto* const fresh = static_cast<char*>(std::malloc(16 + (random >> 24)));
    fresh[0] = 'm';
    char* const old = exchanged[j].exchange(fresh);
    SOAK_CHECK(old == nullptr || old[0] == 'm', "a block of another changed", j);
    std::free(old);
    mine.count(0, 2);
  }
  for (std::atomic<char*>& one : exchanged) std::free(one.exchange(nullptr));
  rest(mine);
}

void printf_turn(seat& mine) {
  // Both hogs write into one stream, whose lock is libc's.
  static std::FILE* const shared = std::fopen("/dev/null", "w");
  char text[64];
  for (unsigned i = 0; i < rounds * 50; ++i) {
    const double number = i * 0.25;
    const int length = std::snprintf(text, sizeof(text), "%u %.2f hog", i, number);
    const int wanted = static_cast<int>(std::to_string(i).size()) + 1 +
                       std::snprintf(nullptr, 0, "%.2f", number) + 4;
    SOAK_CHECK(length == wanted && std::strcmp(text + length - 3, "hog") == 0, "a line is wrong",
               i);
    if (shared != nullptr) {
      SOAK_CHECK(std::fprintf(shared, "%s\n", text) == length + 1, "fprintf", i);
    }
    mine.count(0);
  }
  rest(mine);
}

[[gnu::noinline]] long throw_deep(long number, int depth) {
  const std::string in_the_way(40, static_cast<char>('a' + depth));
  if (depth == 0) throw number;
  return throw_deep(number, depth - 1) + static_cast<long>(in_the_way.size());
}

void throwing_turn(seat& mine) {
  for (unsigned i = 0; i < rounds * 20; ++i) {
    try {
      throw_deep(i, 6);
      violate(__FILE__, __LINE__, "a throw came back", i);
    } catch (const long caught) {
      SOAK_CHECK(caught == static_cast<long>(i), "another's exception", caught);
      SOAK_CHECK(std::uncaught_exceptions() == 0, "uncaught exceptions", i);
    }
    mine.count(0);
  }
  rest(mine);
}

void number_turn(seat& mine) {
  const int own = 1'000 + static_cast<int>(mine.draw(1'000));
  errno = own;
  double sum = 0;
  for (unsigned i = 1; i <= rounds * 20'000; ++i) sum += 1.0 / i;
  // The harmonic number of 800,000, to six places.
  SOAK_CHECK(sum > 14.169583 && sum < 14.169584, "a sum is wrong", sum * 1e6);
  SOAK_CHECK(treadle::io::own_errno() == own, "errno is another's", treadle::io::own_errno());
  mine.count(0);
  rest(mine);
}

}  // namespace

const part malloc_hogs{"malloc-hogs", needs::preemption, 2, {"blocks"}, malloc_turn};
const part printf_hogs{"printf-hogs", needs::preemption, 2, {"lines"}, printf_turn};
const part throwing_hogs{"throwing-hogs", needs::preemption, 2, {"throws"}, throwing_turn};
const part number_hogs{"number-hogs", needs::preemption, 1, {"sums"}, number_turn};

}  // namespace soak
