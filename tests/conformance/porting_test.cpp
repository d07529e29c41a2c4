// One program text, compiled against std and against treadle: the same result in every model.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <semaphore>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <treadle/treadle.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace with_std {
namespace thr = std;
#include "tests/conformance/porting_program.hpp"
}  // namespace with_std

namespace with_treadle {
namespace thr = treadle;
#include "tests/conformance/porting_program.hpp"
}  // namespace with_treadle

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class Porting : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Porting, every_model, model_names);

constexpr const char* known =
    "pipeline 125250; rendezvous 1 6; stopping 1 1; errors invalid timeout somebody";

TYPED_TEST(Porting, SameTextSameResult) {
  EXPECT_EQ(with_std::program(), known);
  EXPECT_EQ(this->in(with_treadle::program), known);
}

TYPED_TEST(Porting, OnForeignKernelThreadsToo) { EXPECT_EQ(with_treadle::program(), known); }

}  // namespace
}  // namespace treadle
