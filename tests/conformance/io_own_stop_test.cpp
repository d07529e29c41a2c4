// Input and output in every model: the thread's own stop token ends each call that waits.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <treadle/io.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::eventually;
using testing_support::every_model;
using testing_support::model_names;

template <class Model>
class IoOwnStop : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(IoOwnStop, every_model, model_names);

// An empty pipe, a socket that nobody writes to, one that nobody connects to.
class quiet_descriptors {
 public:
  quiet_descriptors() {
    EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_.data()), 0);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
  }
  ~quiet_descriptors() {
    for (const int each : {pipe_[0], pipe_[1], pair_[0], pair_[1], listener_}) io::close(each);
  }
  quiet_descriptors(const quiet_descriptors&) = delete;
  quiet_descriptors& operator=(const quiet_descriptors&) = delete;

  int empty_pipe() const { return pipe_[0]; }
  int writable_end() const { return pipe_[1]; }
  int silent() const { return pair_[0]; }
  int listening() const { return listener_; }

 private:
  std::array<int, 2> pipe_{};
  std::array<int, 2> pair_{};
  int listener_ = -1;
};

struct waiting_call {
  const char* name;
  std::function<long()> call;
};

std::vector<waiting_call> calls_on(const quiet_descriptors& d, const wait_limit& limit) {
  static char buffer[16];
  return {
      {"read of a pipe", [&d, limit] { return io::read(d.empty_pipe(), buffer, 1, limit); }},
      {"read of a socket", [&d, limit] { return io::read(d.silent(), buffer, 1, limit); }},
      {"recv", [&d, limit] { return io::recv(d.silent(), buffer, 1, 0, limit); }},
      {"accept",
       [&d, limit] { return io::accept(d.listening(), nullptr, nullptr, SOCK_CLOEXEC, limit); }},
      {"wait_readable",
       [&d, limit] {
         long result;
         do {  // it may come back for no reason: here, when the poller says "writable" meanwhile
           result = io::wait_readable(d.silent(), limit);
         } while (result == 0);
         return result;
       }},
      {"poll of one", [&d, limit] { return io::poll(d.silent(), POLLIN, limit); }},
      {"poll of three",
       [&d, limit] {
         pollfd three[] = {
             {d.silent(), POLLIN, 0}, {d.empty_pipe(), POLLIN, 0}, {d.listening(), POLLIN, 0}};
         return io::poll(three, 3, limit);
       }},
  };
}

TYPED_TEST(IoOwnStop, EndsEveryCallThatWaits) {
  this->in([] {
    const quiet_descriptors d;
    const stop_source never;
    // With a limit that has no token, and with one that has another.
    for (const wait_limit& limit : {wait_limit(), wait_limit(never.get_token())}) {
      for (const waiting_call& each : calls_on(d, limit)) {
        for (int yields = 0; yields < 6; yields += 2) {
          long result = 0;
          int error = 0;
          jthread t([&] {
            result = each.call();
            error = io::own_errno();
          });
          for (int i = 0; i < yields; ++i) this_thread::yield();
          t.request_stop();
          t.join();
          EXPECT_EQ(result, -1) << each.name;
          EXPECT_EQ(error, ECANCELED) << each.name;
        }
      }
    }
  });
}

TYPED_TEST(IoOwnStop, TheLimitsTokenStillCounts) {
  this->in([] {
    const quiet_descriptors d;
    for (std::size_t i = 0; i < calls_on(d, {}).size(); ++i) {
      stop_source source;
      const waiting_call each = calls_on(d, source.get_token())[i];
      long result = 0;
      int error = 0;
      jthread t([&] {
        result = each.call();
        error = io::own_errno();
      });
      this_thread::yield();
      source.request_stop();
      t.join();
      EXPECT_EQ(result, -1) << each.name;
      EXPECT_EQ(error, ECANCELED) << each.name;
    }
  });
}

TYPED_TEST(IoOwnStop, AWaitForAChildEnds) {
  this->in([] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    pid_t result = 0;
    int error = 0;
    jthread t([&] {
      int status = 0;
      result = io::waitpid(child, &status, 0);
      error = io::own_errno();
    });
    for (int i = 0; i < 20; ++i) this_thread::yield();
    t.request_stop();
    t.join();
    EXPECT_EQ(result, -1);
    EXPECT_EQ(error, ECANCELED);
    ::kill(child, SIGKILL);
    EXPECT_EQ(io::waitpid(child, nullptr, 0), child);
  });
}

TYPED_TEST(IoOwnStop, AStopBeforeTheCallIsSeenFirst) {
  this->in([] {
    const quiet_descriptors d;
    const char byte = 'x';
    char got = 0;
    jthread t([&](const stop_token& stop) {
      eventually([&stop] { return stop.stop_requested(); });
      EXPECT_EQ(io::write(d.writable_end(), &byte, 1), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
      {
        const this_thread::stop_shield shield;
        EXPECT_EQ(io::write(d.writable_end(), &byte, 1), 1);
        EXPECT_EQ(io::read(d.empty_pipe(), &got, 1), 1);
        EXPECT_EQ(io::poll(d.silent(), POLLIN, std::chrono::milliseconds(1)), 0);
      }
      EXPECT_EQ(io::read(d.empty_pipe(), &got, 1), -1);
      EXPECT_EQ(io::own_errno(), ECANCELED);
    });
    t.request_stop();
    t.join();
    EXPECT_EQ(got, 'x');
  });
}

// A plain thread, and a foreign kernel thread, have no token: nothing changes for them.
TYPED_TEST(IoOwnStop, ThreadsWithoutATokenAreNotStopped) {
  const quiet_descriptors d;
  char got[2] = {};
  this->in([&] {
    thread t([&] { EXPECT_EQ(io::read(d.empty_pipe(), &got[0], 1), 1); });
    this_thread::yield();
    EXPECT_EQ(io::write(d.writable_end(), "ab", 2), 2);
    t.join();
  });
  EXPECT_EQ(io::read(d.empty_pipe(), &got[1], 1), 1);
  EXPECT_EQ(std::string(got, 2), "ab");
}

// Data against a stop: either all of it was read or none.
TYPED_TEST(IoOwnStop, OfDataAndStopExactlyOneWins) {
  this->in([] {
    const quiet_descriptors d;
    for (std::size_t i = 0; i < testing_support::scaled(1000, TestFixture::own_kernel_threads);
         ++i) {
      long result = 0;
      char got = 0;
      jthread reader([&] { result = io::read(d.empty_pipe(), &got, 1); });
      jthread writer([&, i] {
        for (std::size_t k = 0; k < i % 3; ++k) this_thread::yield();
        const this_thread::stop_shield shield;
        EXPECT_EQ(io::write(d.writable_end(), "x", 1), 1);
      });
      for (std::size_t k = 0; k < i / 3 % 3; ++k) this_thread::yield();
      reader.request_stop();
      reader.join();
      writer.join();
      ASSERT_TRUE(result == 1 || result == -1);
      if (result == 1) {
        ASSERT_EQ(got, 'x');
      } else {
        ASSERT_EQ(io::read(d.empty_pipe(), &got, 1), 1);
      }
    }
  });
}

}  // namespace
}  // namespace treadle
