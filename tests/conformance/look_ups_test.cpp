// Look-ups of names that take long, under every model: calls on files do not queue behind them.
// libc's function is replaced by one that waits for a gate.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <treadle/blocking.hpp>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/small_pool.hpp"

namespace {

std::atomic<bool> gate_is_open{false};
std::atomic<int> inside{0};

}  // namespace

extern "C" int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) {
  ++inside;
  gate_is_open.wait(false);
  --inside;
  return EAI_AGAIN;
}

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::eventually;
using testing_support::with_small_pool;

constexpr int pool_threads = testing_support::small_pool_threads;

template <class Configuration>
class look_ups : public testing_support::in_model<with_small_pool<Configuration>> {};
TYPED_TEST_SUITE(look_ups, testing_support::every_model, testing_support::model_names);

TYPED_TEST(look_ups, silent_servers_keep_nobody_from_files) {
  this->in([] {
    gate_is_open = false;
    for (int i = 0; i < 2 * pool_threads; ++i) {
      addrinfo* found = nullptr;
      EXPECT_EQ(io::getaddrinfo("treadle.invalid", nullptr, nullptr, &found, 3ms), EAI_SYSTEM);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    }
    std::vector<thread> waiting;
    for (int i = 0; i < 2 * pool_threads; ++i) {
      waiting.emplace_back([] {
        addrinfo* found = nullptr;
        EXPECT_EQ(io::getaddrinfo("treadle.invalid", nullptr, nullptr, &found), EAI_AGAIN);
      });
    }
    // Those that have timed out may not have begun, and then do not.
    eventually([] { return inside >= 2 * pool_threads; });
    const int file = io::open("/proc/self/stat", O_RDONLY | O_CLOEXEC, 0, 1h);
    EXPECT_GE(file, 0);
    io::close(file);
    EXPECT_EQ(blocking([] { return 7; }), 7);
    gate_is_open = true;
    gate_is_open.notify_all();
    for (thread& each : waiting) each.join();
    eventually([] { return inside == 0; });
  });
}

}  // namespace
}  // namespace treadle
