// getaddrinfo and waitpid in every model: results as POSIX, limits, and others running meanwhile.
#include <treadle/io.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <stop_token>
#include <treadle/thread.hpp>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using namespace std::chrono_literals;
using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class NamesAndChildren : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(NamesAndChildren, every_model, model_names);

TYPED_TEST(NamesAndChildren, NamesAreLookedUp) {
  this->in([] {
    for (const wait_limit& limit : {wait_limit(), wait_limit(1h)}) {
      addrinfo hints{};
      hints.ai_family = AF_INET;
      hints.ai_socktype = SOCK_STREAM;
      addrinfo* found = nullptr;
      ASSERT_EQ(io::getaddrinfo("localhost", "80", &hints, &found, limit), 0);
      ASSERT_NE(found, nullptr);
      sockaddr_in address{};
      std::memcpy(&address, found->ai_addr, sizeof(address));
      EXPECT_EQ(address.sin_addr.s_addr, ::htonl(INADDR_LOOPBACK));
      EXPECT_EQ(address.sin_port, ::htons(80));
      ::freeaddrinfo(found);
      hints.ai_flags = AI_NUMERICHOST;
      EXPECT_EQ(io::getaddrinfo("no number", "80", &hints, &found, limit), EAI_NONAME);
    }
  });
}

TYPED_TEST(NamesAndChildren, ABadNameIsAnError) {
  this->in([] {
    addrinfo* found = nullptr;
    // Reserved for never existing (RFC 6761); without a network the answer may be "try again".
    EXPECT_NE(io::getaddrinfo("treadle.invalid", nullptr, nullptr, &found), 0);
  });
}

// A child that waits until we let it go.
class child {
 public:
  explicit child(int status) {
    EXPECT_EQ(::pipe2(gate_.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(gate_[1]);
      char byte = 0;
      static_cast<void>(!::read(gate_[0], &byte, 1));
      ::_exit(status);
    }
    ::close(gate_[0]);
  }
  ~child() { release(); }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  void release() {
    if (gate_[1] >= 0) ::close(gate_[1]);
    gate_[1] = -1;
  }
  pid_t pid() const { return pid_; }

 private:
  std::array<int, 2> gate_{};
  pid_t pid_ = -1;
};

TYPED_TEST(NamesAndChildren, ChildrenAreWaitedFor) {
  this->in([] {
    for (const bool any : {false, true}) {
      child born(7);
      int status = 0;
      const pid_t which = any ? -1 : born.pid();
      EXPECT_EQ(io::waitpid(which, &status, WNOHANG), 0);
      EXPECT_EQ(io::waitpid(which, &status, 0, 0s), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      EXPECT_EQ(io::waitpid(which, &status, 0, 3ms), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
      constexpr int wanted = 300;
      std::atomic<int> ticks{0};
      thread ticker([&] {
        while (ticks < wanted) {
          ticks.fetch_add(1);
          this_thread::yield();
        }
        born.release();
      });
      EXPECT_EQ(io::waitpid(which, &status, 0), born.pid());
      EXPECT_TRUE(WIFEXITED(status));
      EXPECT_EQ(WEXITSTATUS(status), 7);
      EXPECT_EQ(ticks, wanted);
      ticker.join();
      EXPECT_EQ(io::waitpid(born.pid(), &status, 0), -1);
      EXPECT_EQ(io::own_errno(), ECHILD);
    }
  });
}

// A child that runs on while others wait for any child, many times and not for long.
TYPED_TEST(NamesAndChildren, WaitsThatTimeOutKeepNoKernelThread) {
  this->in([] {
    const auto kernel_threads = [] {
      const std::filesystem::directory_iterator all("/proc/self/task");
      return std::distance(begin(all), end(all));
    };
    child born(5);
    const auto before = kernel_threads();
    for (int i = 0; i < 80; ++i) {
      const pid_t which = i % 4 == 0 ? 0 : -1;
      EXPECT_EQ(io::waitpid(which, nullptr, i % 2 == 0 ? 0 : WUNTRACED, 100us), -1);
      EXPECT_EQ(io::own_errno(), ETIMEDOUT);
    }
    EXPECT_LT(kernel_threads(), before + 20);
    EXPECT_EQ(io::blocking_counters().busy, 0u);
    born.release();
    // Nothing was reaped for nobody.
    int status = 0;
    EXPECT_EQ(io::waitpid(-1, &status, 0, 1h), born.pid());
    EXPECT_EQ(WEXITSTATUS(status), 5);
  });
}

TYPED_TEST(NamesAndChildren, AStopEndsAWaitForAnyChild) {
  this->in([] {
    child born(6);
    std::stop_source source;
    thread waiting([&, stop = source.get_token()] {
      EXPECT_EQ(io::waitpid(-1, nullptr, 0, stop), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
    });
    for (int i = 0; i < 50; ++i) this_thread::yield();
    source.request_stop();
    waiting.join();
    born.release();
    EXPECT_EQ(io::waitpid(-1, nullptr, 0), born.pid());
  });
}

TYPED_TEST(NamesAndChildren, AStopLeavesTheChildToBeReaped) {
  this->in([] {
    child born(3);
    std::stop_source source;
    thread waiting([&, stop = source.get_token()] {
      EXPECT_EQ(io::waitpid(born.pid(), nullptr, 0, stop), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
    });
    for (int i = 0; i < 50; ++i) this_thread::yield();
    source.request_stop();
    waiting.join();
    born.release();
    int status = 0;
    EXPECT_EQ(io::waitpid(born.pid(), &status, 0, 1h), born.pid());
    EXPECT_EQ(WEXITSTATUS(status), 3);
  });
}

TYPED_TEST(NamesAndChildren, StoppedAndContinuedChildrenAreSeen) {
  this->in([] {
    child born(0);
    int status = 0;
    ::kill(born.pid(), SIGSTOP);
    EXPECT_EQ(io::waitpid(born.pid(), &status, WUNTRACED), born.pid());
    EXPECT_TRUE(WIFSTOPPED(status));
    ::kill(born.pid(), SIGCONT);
    EXPECT_EQ(io::waitpid(born.pid(), &status, WCONTINUED), born.pid());
    EXPECT_TRUE(WIFCONTINUED(status));
    born.release();
    EXPECT_EQ(io::waitpid(born.pid(), &status, 0), born.pid());
  });
}

}  // namespace
}  // namespace treadle
