// Barriers that are destroyed by who goes on first, while the other one is on its way out: threads,
// tasks and foreign kernel threads, in every model. What is touched too late shows under the
// sanitizers.
#include <treadle/barrier.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "tests/support/actors.hpp"

namespace treadle {
namespace {

using testing_support::actor;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::party;
using testing_support::scaled;

template <class Model>
class BarrierEnds : public testing_support::with_actors<Model> {};
TYPED_TEST_SUITE(BarrierEnds, every_model, model_names);

struct meeting {
  // By both.
  void went_on() {
    if (!is_over.exchange(true)) sync.reset();
  }

  int completed = 0;
  std::function<void()> complete = [this] { ++completed; };
  std::unique_ptr<barrier<std::function<void()>>> sync =
      std::make_unique<barrier<std::function<void()>>>(2, complete);
  barrier<std::function<void()>>* const it = sync.get();
  std::atomic<bool> is_over{false};
};

TYPED_TEST(BarrierEnds, WhoGoesOnFirstMayDestroyIt) {
  this->for_each_pair([this](party left, party right) {
    std::vector<meeting> all(scaled(300, this->own_kernel_threads));
    const auto blocking = [&all] {
      for (meeting& each : all) {
        each.it->arrive_and_wait();
        each.went_on();
      }
    };
    const auto awaiting = [&all]() -> task<> {
      for (meeting& each : all) {
        co_await co::arrive_and_wait(*each.it);
        each.went_on();
      }
    };
    actor one = this->act(left, blocking, awaiting);
    actor other = this->act(right, blocking, awaiting);
    one.join();
    other.join();
    for (const meeting& each : all) EXPECT_EQ(each.completed, 1);
  });
}

}  // namespace
}  // namespace treadle
