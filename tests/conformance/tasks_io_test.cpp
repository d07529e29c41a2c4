// Tasks that wait for descriptors and for each other, in every model.
#include <treadle/blocking_region.hpp>
#include <treadle/co.hpp>
#include <treadle/sender.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class TaskIo : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(TaskIo, every_model, model_names);

struct pair_of_sockets {
  pair_of_sockets() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0); }
  ~pair_of_sockets() {
    io::close(ends[0]);
    io::close(ends[1]);
  }
  int ends[2];
};

TYPED_TEST(TaskIo, BytesGoThroughASocket) {
  this->in([] {
    pair_of_sockets sockets;
    const std::size_t count = scaled(300'000);
    const auto writes = [](int to, std::size_t bytes) -> task<ssize_t> {
      const std::string text(bytes, 'x');
      const ssize_t done = co_await co::write(to, text.data(), text.size());
      ::shutdown(to, SHUT_WR);
      co_return done;
    };
    const auto reads = [](int from) -> task<std::size_t> {
      std::vector<char> buffer(4096);
      std::size_t sum = 0;
      for (;;) {
        const ssize_t got = co_await co::read(from, buffer.data(), buffer.size());
        if (got <= 0) break;
        sum += static_cast<std::size_t>(got);
      }
      co_return sum;
    };
    auto writer = spawn(writes(sockets.ends[0], count));
    EXPECT_EQ(block_on(reads(sockets.ends[1])), count);
    EXPECT_EQ(writer.join(), static_cast<ssize_t>(count));
  });
}

TYPED_TEST(TaskIo, AThreadWritesAndATaskReads) {
  this->in([] {
    pair_of_sockets sockets;
    const auto reads = [](int from) -> task<int> {
      char byte = 0;
      const ssize_t got = co_await co::read(from, &byte, 1);
      co_return got == 1 ? byte : -1;
    };
    auto reader = spawn(reads(sockets.ends[1]));
    this_thread::sleep_for(2ms);
    EXPECT_EQ(io::write(sockets.ends[0], "a", 1), 1);
    EXPECT_EQ(reader.join(), 'a');
  });
}

TYPED_TEST(TaskIo, LimitsAndStopsEndARead) {
  this->in([] {
    pair_of_sockets sockets;
    const auto reads = [](int from, wait_limit limit) -> task<ssize_t> {
      char byte = 0;
      co_return co_await co::read(from, &byte, 1, std::move(limit));
    };
    EXPECT_EQ(block_on(reads(sockets.ends[1], 2ms)), -ETIMEDOUT);
    std::stop_source given;
    auto by_limit = spawn(reads(sockets.ends[1], given.get_token()));
    std::stop_source own;
    auto by_own = spawn(reads(sockets.ends[0], {}), own.get_token());
    this_thread::sleep_for(2ms);
    given.request_stop();
    own.request_stop();
    EXPECT_EQ(by_limit.join(), -ECANCELED);
    EXPECT_EQ(by_own.join(), -ECANCELED);
    const auto waits = [](int on) -> task<ssize_t> {
      co_return co_await co::poll(on, POLLIN, 2ms);
    };
    EXPECT_EQ(block_on(waits(sockets.ends[0])), 0);
  });
}

TYPED_TEST(TaskIo, AcceptsAndConnects) {
  this->in([] {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const general = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(::bind(listener, general, sizeof(address)), 0);
    ASSERT_EQ(::listen(listener, 8), 0);
    socklen_t bytes = sizeof(address);
    ASSERT_EQ(::getsockname(listener, general, &bytes), 0);
    const auto accepts = [](int on) -> task<bool> {
      const ssize_t got = co_await co::accept(on);
      if (got >= 0) io::close(static_cast<int>(got));
      co_return got >= 0;
    };
    const auto connects = [](const sockaddr_in& to) -> task<ssize_t> {
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const ssize_t result =
          co_await co::connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
      io::close(client);
      co_return result;
    };
    auto server = spawn(accepts(listener));
    EXPECT_EQ(block_on(connects(address)), 0);
    EXPECT_TRUE(server.join());
    io::close(listener);
  });
}

// The one who runs them looks for events as it goes idle.
TYPED_TEST(TaskIo, AnEventThatComesAsTheLastTaskParksIsTaken) {
  this->in([] {
    const auto reads = [](int from) -> task<ssize_t> {
      char byte = 0;
      co_return co_await co::read(from, &byte, 1);
    };
    const auto writes = [](int to) -> task<ssize_t> { co_return co_await co::write(to, "a", 1); };
    const std::size_t rounds = scaled(500);
    for (std::size_t i = 0; i < rounds; ++i) {
      pair_of_sockets sockets;
      auto reader = spawn(reads(sockets.ends[1]));
      EXPECT_EQ(block_on(writes(sockets.ends[0])), 1);
      EXPECT_EQ(reader.join(), 1);
    }
  });
}

TYPED_TEST(TaskIo, ABlockingRegionOfATaskStopsNoOtherTask) {
  if (TestFixture::kind == model::many_to_one) GTEST_SKIP() << "there it does, by its promise";
  this->in([] {
    pair_of_sockets sockets;
    const auto blocks = [](int from) -> task<ssize_t> {
      char byte = 0;
      const blocking_region here;
      const blocking_region inside;
      co_return ::read(from, &byte, 1);
    };
    const auto writes = [](int to) -> task<ssize_t> { co_return co_await co::write(to, "a", 1); };
    auto reader = spawn(blocks(sockets.ends[1]));
    auto writer = spawn(writes(sockets.ends[0]));
    EXPECT_EQ(reader.join(), 1);
    EXPECT_EQ(writer.join(), 1);
  });
}

task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await co::when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

TYPED_TEST(TaskIo, WhenAllForksAndJoins) {
  this->in([] {
    EXPECT_EQ(block_on(fib(15)), 610);
    const auto waits = [](int number) -> task<int> {
      co_await co::sleep_for(std::chrono::milliseconds(number % 3));
      if (number == 7) throw std::runtime_error("seven");
      co_return number;
    };
    const auto all = [&](int count) -> task<int> {
      std::vector<task<int>> children;
      for (int i = 0; i < count; ++i) children.push_back(waits(i));
      int sum = 0;
      for (const int each : co_await co::when_all(std::move(children))) sum += each;
      co_return sum;
    };
    EXPECT_EQ(block_on(all(6)), 15);
    EXPECT_THROW(block_on(all(20)), std::runtime_error);
  });
}

// Tells whether what it is given is `expected` itself.
struct reference_receiver {
  const int* expected;
  bool* same;
  binary_semaphore* done;
  void set_value(int& what) && noexcept {
    *same = &what == expected;
    done->release();
  }
  void set_error(std::exception_ptr) && noexcept { done->release(); }
  void set_stopped() && noexcept { done->release(); }
};

TYPED_TEST(TaskIo, ReferencesComeThrough) {
  this->in([] {
    int value = 5;
    const auto refers = [&value]() -> task<int&> { co_return value; };
    block_on([](int& it, const auto& gives) -> task<> {
      const auto first = co_await co::when_any(gives(), gives());
      EXPECT_EQ(&first.value, &it);
      std::vector<task<int&>> several;
      several.push_back(gives());
      several.push_back(gives());
      const auto all = co_await co::when_all(std::move(several));
      EXPECT_EQ(&all.at(0).get(), &it);
      EXPECT_EQ(&all.at(1).get(), &it);
    }(value, refers));
    bool same = false;
    binary_semaphore done(0);
    auto operation = connect(as_sender(refers()), reference_receiver{&value, &same, &done});
    operation.start();
    done.acquire();
    EXPECT_TRUE(same);
  });
}

TYPED_TEST(TaskIo, WhenAnyStopsTheRest) {
  this->in([] {
    const auto waits = [](std::chrono::milliseconds span, int number) -> task<int> {
      co_await co::sleep_for(span);
      co_return number;
    };
    const auto races = [&]() -> task<int> {
      const auto first = co_await co::when_any(waits(10min, 1), waits(1ms, 2), waits(10min, 3));
      co_return first.index == 1 ? first.value : -1;
    };
    EXPECT_EQ(block_on(races()), 2);
  });
}

// Its last move that is allowed is the one before it throws.
struct rarely_moved {
  explicit rarely_moved(int moves) : left(moves) {}
  rarely_moved(rarely_moved&& other) : left(other.left - 1) {  // NOLINT: it is to throw
    if (left < 0) throw std::runtime_error("moved too often");
  }
  int left;
};

TYPED_TEST(TaskIo, WhenAnyFailsWhereTheFirstValueCannotBeMoved) {
  this->in([] {
    const auto gives = [](int moves) -> task<rarely_moved> { co_return rarely_moved(moves); };
    const auto waits = []() -> task<rarely_moved> {
      co_await co::sleep_for(10min);
      co_return rarely_moved(0);
    };
    const auto races = [&](int moves) -> task<bool> {
      try {
        const auto first = co_await co::when_any(gives(moves), waits());
        co_return first.index == 0;
      } catch (const std::runtime_error&) {
      }
      co_return false;
    };
    constexpr int moves_enough = 20;  // guess: several times what it takes
    int failed = 0;
    while (failed < moves_enough && !block_on(races(failed))) ++failed;
    EXPECT_GT(failed, 0);
    EXPECT_LT(failed, moves_enough);
  });
}

TYPED_TEST(TaskIo, AScopeJoinsAndStops) {
  this->in([] {
    std::atomic<int> ended{0};
    const auto sleeps = [&]() -> task<> {
      co_await co::sleep_for(10min);
      ended.fetch_add(1);
    };
    const auto fails = []() -> task<> {
      co_await co::yield();
      throw std::runtime_error("no");
    };
    const auto runs = [&]() -> task<bool> {
      co::scope children;
      for (int i = 0; i < 10; ++i) children.spawn(sleeps());
      children.spawn(fails());
      try {
        co_await children.join();
      } catch (const std::runtime_error&) {
        co_return true;
      }
      co_return false;
    };
    EXPECT_TRUE(block_on(runs()));
    EXPECT_EQ(ended.load(), 10);
  });
}

struct notes_end {
  struct environment {
    std::stop_token stop;
    std::stop_token get_stop_token() const noexcept { return stop; }
  };
  latch* done;
  int* how;
  std::stop_token stop;
  environment get_env() const noexcept { return {stop}; }
  void end(int what) noexcept {
    *how = what;
    done->count_down();
  }
  void set_value(int = 0) && noexcept { end(1); }
  void set_stopped() && noexcept { end(2); }
  void set_error(std::exception_ptr) && noexcept { end(3); }
};

TYPED_TEST(TaskIo, SendersCompleteOnACarrier) {
  this->in([] {
    const auto ends_with = [](auto make, std::stop_token stop) {
      latch done(1);
      int how = 0;
      auto operation = make().connect(notes_end{&done, &how, std::move(stop)});
      operation.start();
      done.wait();
      return how;
    };
    const auto scheduled = [] { return task_scheduler().schedule(); };
    EXPECT_EQ(ends_with(scheduled, {}), 1);
    std::stop_source stopped;
    stopped.request_stop();
    EXPECT_EQ(ends_with(scheduled, stopped.get_token()), 2);
    EXPECT_EQ(ends_with([] { return as_sender(fib(5)); }, {}), 1);
    const auto throws = []() -> task<int> {
      throw std::runtime_error("no");
      co_return 0;
    };
    EXPECT_EQ(ends_with([&] { return as_sender(throws()); }, {}), 3);
    EXPECT_TRUE(task_scheduler() == task_scheduler());
  });
}

}  // namespace
}  // namespace treadle
