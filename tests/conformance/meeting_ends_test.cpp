// Barriers and latches that are destroyed by who goes on first, while the other one is on its way
// out: threads, tasks and foreign kernel threads, in every model. What is touched too late shows
// under the sanitizers.
#include <treadle/barrier.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <treadle/latch.hpp>
#include <utility>
#include <vector>

#include "tests/support/actors.hpp"

namespace treadle {
namespace {

using testing_support::actor;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::party;
using testing_support::scaled;

using noting_barrier = barrier<std::function<void()>>;

// Of two.
template <class Place>
struct meeting {
  explicit meeting(std::unique_ptr<Place> at) : place(std::move(at)) {}
  // By both.
  void went_on() {
    if (!is_over.exchange(true)) place.reset();
  }

  std::unique_ptr<Place> place;
  Place* const it = place.get();
  std::atomic<bool> is_over{false};
};

template <class Model>
class MeetingEnds : public testing_support::with_actors<Model> {
 protected:
  template <class Make>
  void expect_good(std::size_t count, party left, party right, Make make) {
    using place = typename decltype(make())::element_type;
    std::vector<std::unique_ptr<meeting<place>>> all;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(std::make_unique<meeting<place>>(make()));
    }
    const auto blocking = [&all] {
      for (auto& each : all) {
        each->it->arrive_and_wait();
        each->went_on();
      }
    };
    const auto awaiting = [&all]() -> task<> {
      for (auto& each : all) {
        co_await co::arrive_and_wait(*each->it);
        each->went_on();
      }
    };
    actor one = this->act(left, blocking, awaiting);
    actor other = this->act(right, blocking, awaiting);
    one.join();
    other.join();
  }
};
TYPED_TEST_SUITE(MeetingEnds, every_model, model_names);

TYPED_TEST(MeetingEnds, WhoGoesOnFirstMayDestroyTheBarrier) {
  this->for_each_pair([this](party left, party right) {
    const std::size_t count = scaled(300, this->own_kernel_threads);
    std::atomic<std::size_t> completed{0};
    this->expect_good(count, left, right, [&completed] {
      return std::make_unique<noting_barrier>(2, [&completed] { ++completed; });
    });
    EXPECT_EQ(completed, count);
  });
}

TYPED_TEST(MeetingEnds, WhoGoesOnFirstMayDestroyTheLatch) {
  this->for_each_pair([this](party left, party right) {
    this->expect_good(scaled(300, this->own_kernel_threads), left, right,
                      [] { return std::make_unique<latch>(2); });
  });
}

}  // namespace
}  // namespace treadle
