// Misuse of a priority_inheritance_mutex ends the process with its call, the thread and the holder.
#include <gtest/gtest.h>

#include <treadle/priority_inheritance_mutex.hpp>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

template <class Model>
class PriorityDeathTest : public testing_support::in_model_of_child<Model> {
 protected:
  // As a thread named "culprit", while `m` is held by another one when `held` says so.
  template <class F>
  static void in(bool held, F f) {
    testing_support::in_model_of_child<Model>::in([&] {
      priority_inheritance_mutex m;
      if (held) m.lock();
      thread t({.name = "culprit"}, [&] { f(m); });
      t.join();
      if (held) m.unlock();
    });
  }
};
TYPED_TEST_SUITE(PriorityDeathTest, testing_support::every_model, testing_support::model_names);

TYPED_TEST(PriorityDeathTest, UnlockByAnother) {
  EXPECT_DEATH(this->in(true, [](auto& m) { m.unlock(); }),
               "treadle: priority_inheritance_mutex::unlock: the calling thread does not hold it, "
               "held by thread [0-9]+, in thread .*culprit");
}

TYPED_TEST(PriorityDeathTest, UnlockOfAFreeOne) {
  EXPECT_DEATH(this->in(false, [](auto& m) { m.unlock(); }),
               "treadle: priority_inheritance_mutex::unlock: .*culprit");
}

TYPED_TEST(PriorityDeathTest, LockedAgain) {
  EXPECT_DEATH(this->in(false,
                        [](auto& m) {
                          m.lock();
                          m.lock();
                        }),
               "treadle: priority_inheritance_mutex::lock: .*holds it already.*culprit");
}

TYPED_TEST(PriorityDeathTest, DestroyedHeld) {
  EXPECT_DEATH(this->in(false,
                        [](auto&) {
                          priority_inheritance_mutex own;
                          own.lock();
                        }),
               "treadle: priority_inheritance_mutex::~priority_inheritance_mutex: .*culprit");
}

TYPED_TEST(PriorityDeathTest, TheHolderEnds) {
  EXPECT_DEATH(this->in(false, [](auto& m) { m.lock(); }),
               "treadle: the end of a thread: it still holds a priority_inheritance_mutex, in "
               "thread .*culprit");
}

}  // namespace
}  // namespace treadle
