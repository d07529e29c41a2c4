// runtimes and pool-calls: other runtimes that open and close beside this one, and calls that are
// made on the blocking-call pool.
#include <numeric>
#include <thread>
#include <vector>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

// On a foreign kernel thread, which all models allow.
long run_elsewhere(treadle::model kind, unsigned width, unsigned count) {
  treadle::runtime_options wanted;
  wanted.model = kind;
  if (kind == treadle::model::many_to_many) wanted.width = width;
  std::atomic<long> sum{0};
  treadle::runtime other(wanted);
  other.run([&] {
    std::vector<treadle::thread> all;
    for (unsigned i = 0; i < count; ++i) {
      all.emplace_back([&sum, i] {
        treadle::this_thread::sleep_for(microseconds(i));
        sum.fetch_add(i);
      });
    }
    for (treadle::thread& one : all) one.join();
  });
  return sum.load();
}

void runtime_turn(seat& mine) {
  constexpr std::array kinds{treadle::model::many_to_one, treadle::model::one_to_one,
                             treadle::model::many_to_many};
  const unsigned which = mine.draw(3);
  const unsigned width = 1 + mine.draw(3);
  const unsigned count = 1 + mine.draw(40);
  mine.mark(treadle::to_string(kinds[which]).data());
  const unsigned before = droughts.load();
  bool refused = false;
  const long sum = treadle::blocking([&] {
    long got = 0;
    std::thread foreign([&] {
      try {
        got = run_elsewhere(kinds[which], width, count);
      } catch (const std::system_error& error) {
        refused = true;
        const bool dry = before % 2 == 1 || droughts.load() != before;
        SOAK_CHECK(dry || is_drought(error.code().value()), error.what(), error.code().value());
      }
    });
    foreign.join();
    return got;
  });
  if (refused) throw excuse();
  SOAK_CHECK(sum == static_cast<long>(count) * (count - 1) / 2, "a sum in another runtime", sum);
  mine.count(which);
  mine.mark("at rest");
  treadle::this_thread::sleep_for(microseconds(mine.draw(20'000)));
}

void pool_turn(seat& mine) {
  crowd all;
  const unsigned count = 2 + mine.draw(10);
  for (unsigned i = 0; i < count; ++i) {
    all.add([&mine, i, span = mine.draw(1'000)] {
      const unsigned got = treadle::blocking([=] {
        ::usleep(span);
        return i * 3;
      });
      SOAK_CHECK(got == i * 3, "a pool's answer", got);
      bool caught = false;
      try {
        treadle::blocking([=] { throw i; });
      } catch (const unsigned thrown) {
        caught = thrown == i;
      }
      SOAK_CHECK(caught, "a pool's exception", i);
      mine.count(0, 2);
    });
  }
  mine.mark("on the pool");
  all.join();
  treadle::this_thread::sleep_for(microseconds(mine.draw(3'000)));
}

}  // namespace

const part runtimes{"runtimes", needs::nothing, 1, {"m:1", "1:1", "m:n"}, runtime_turn};
const part pool_calls{"pool-calls", needs::nothing, 1, {"calls"}, pool_turn};

}  // namespace soak
