// The io_uring poller by itself: what it reports, whom it lets go, what it does when the kernel
// refuses it.
#include "treadle/io/uring_poller.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <treadle/io.hpp>
#include <treadle/runtime.hpp>
#include <treadle/thread.hpp>
#include <vector>

#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_table.hpp"

namespace treadle::io {
namespace {

using base::deadline;
using base::faulty_call;

struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe(ends), 0); }
  ~pipe_pair() {
    drop(0);
    drop(1);
  }
  void drop(int which) {
    if (ends[which] >= 0) io::close(std::exchange(ends[which], -1));
  }
  descriptor& reader() const {
    int error = 0;
    return *descriptor_table::instance().find(ends[0], error);
  }
  int ends[2];
};

struct socket_pair {
  socket_pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); }
  ~socket_pair() {
    drop(0);
    drop(1);
  }
  void drop(int which) {
    if (ends[which] >= 0) io::close(std::exchange(ends[which], -1));
  }
  int ends[2];
};

std::uint32_t lifetime_of(const descriptor& one) { return one.lifetime.load(base::relaxed); }
std::uint32_t flags_of(const descriptor& one) {
  return one.state.load(base::relaxed) & descriptor::flags;
}

[[gnu::noinline]] int last_error() { return errno; }

// As the runtime does it.
int watch(uring_poller& poller, const pipe_pair& pipe) {
  descriptor& reader = pipe.reader();
  const base::guard hold(reader.lock);
  const int error = poller.watch(pipe.ends[0], lifetime_of(reader));
  if (error == 0) {
    reader.home = &poller;
    reader.change_state(descriptor::watched);
  }
  return error;
}

class UringPoller : public ::testing::Test {
 protected:
  void SetUp() override {
    uring_poller probe(ring_owner::whoever_polls);
    if (const int error = probe.open()) {
      GTEST_SKIP() << "the kernel refuses io_uring: " << std::strerror(error);
    }
  }
};

// The ring belongs to the kernel thread that polls, which must have ended when the poller goes.
template <class F>
void with_poller(F body) {
  uring_poller poller(ring_owner::whoever_polls);
  ASSERT_EQ(poller.open(), 0);
  std::thread([&] {
    static_cast<void>(core::current_thread());
    body(poller);
  }).join();
}

TEST_F(UringPoller, IsInUseFromTheFirstWatchOn) {
  pipe_pair pipe;
  with_poller([&](uring_poller& poller) {
    EXPECT_FALSE(poller.in_use());
    poller.poll(deadline::at(0));
    poller.poll(deadline::never());  // nothing to wait for
    EXPECT_EQ(watch(poller, pipe), 0);
    EXPECT_TRUE(poller.in_use());
  });
}

TEST_F(UringPoller, ReportsEdgesAndTheEnd) {
  pipe_pair pipe;
  with_poller([&](uring_poller& poller) {
    descriptor& reader = pipe.reader();
    ASSERT_EQ(watch(poller, pipe), 0);
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
      while ((flags_of(reader) & descriptor::readable) == 0) poller.poll(deadline::never());
      reader.change_state(descriptor::watched);
    }
    ::close(std::exchange(pipe.ends[1], -1));
    while ((flags_of(reader) & descriptor::unusual) == 0) poller.poll(deadline::never());
  });
}

TEST_F(UringPoller, InterruptEndsTheNextWaitOrThePresentOne) {
  pipe_pair pipe;
  with_poller([&](uring_poller& poller) {
    ASSERT_EQ(watch(poller, pipe), 0);
    for (int i = 0; i < 1000; ++i) {
      poller.interrupt();
      poller.poll(deadline::never());
    }
    base::atomic<int> round{0};
    std::thread other([&] {
      for (int i = 1; i <= 2000; ++i) {
        round.store(i, base::release);
        poller.interrupt();
        while (round.load(base::acquire) == i) base::spin_hint();
      }
    });
    for (int i = 1; i <= 2000; ++i) {
      while (round.load(base::acquire) != i) poller.poll(deadline::never());
      round.store(-i, base::release);
    }
    other.join();
  });
}

TEST_F(UringPoller, DeadlineEndsAWaitNeverEarly) {
  pipe_pair pipe;
  with_poller([&](uring_poller& poller) {
    ASSERT_EQ(watch(poller, pipe), 0);
    errno = 77;
    for (const std::int64_t span : {1, 1000, 3'000'000}) {
      const std::int64_t until = base::monotonic_now() + span;
      // An interrupt or the first event may come before.
      while (base::monotonic_now() < until) poller.poll(deadline::at(until));
    }
    EXPECT_EQ(errno, 77);
  });
}

// A request holds the file: the other end of a pipe sees whether it is open.
TEST_F(UringPoller, LetsGoOfAFileBeforeItIsClosed) {
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    runtime_options options;
    options.model = kind;
    options.socket_events = socket_events::uring;
    runtime with(options);
    with.run([&] {
      for (int i = 0; i < 200; ++i) {
        socket_pair pair;
        if (i % 2 == 0) {
          EXPECT_EQ(io::receive_ahead(pair.ends[0]), 0);
        }
        char byte = 0;
        thread reader([&, from = pair.ends[0]] { EXPECT_EQ(io::read(from, &byte, 1), -1); });
        for (int k = 0; k < i % 5; ++k) this_thread::yield();
        pair.drop(0);
        reader.join();  // it may have been in a call that holds the file, too
        pollfd asked{pair.ends[1], POLLIN, 0};
        EXPECT_EQ(::poll(&asked, 1, 0), 1);
        EXPECT_NE(asked.revents & POLLHUP, 0);
      }
    });
  }
}

// From one runtime to another and back again: the first request's end may come when the second has
// begun, and is not told from its own. Whoever closes must have the second taken back all the same.
TEST_F(UringPoller, LetsGoOfAFileWhoseEarlierRequestEndsLate) {
  uring_poller poller(ring_owner::own_thread);
  ASSERT_EQ(poller.open(), 0);
  pipe_pair pipe;
  descriptor& reader = pipe.reader();
  ASSERT_EQ(watch(poller, pipe), 0);
  ASSERT_EQ(::write(pipe.ends[1], "x", 1), 1);
  while ((flags_of(reader) & descriptor::readable) == 0) std::this_thread::yield();
  {
    // The ring's kernel thread takes this lock to tell of an end: here after the second watch.
    const base::guard hold(reader.lock);
    poller.unwatch(pipe.ends[0], lifetime_of(reader), watch_kind::events, nullptr);
    ASSERT_EQ(poller.watch(pipe.ends[0], lifetime_of(reader)), 0);
    reader.change_state(descriptor::watched);
  }
  while ((flags_of(reader) & descriptor::watched) != 0) std::this_thread::yield();
  pipe.drop(0);
  pollfd asked{pipe.ends[1], 0, 0};
  EXPECT_EQ(::poll(&asked, 1, 0), 1);
  EXPECT_NE(asked.revents & POLLERR, 0) << "nobody reads from the pipe any more";
}

// A pair with numbers that nobody else gets: a thread that comes late to a closed one meets no
// descriptor but those of the test.
struct distant_pair : socket_pair {
  static constexpr int lowest = 200;
  distant_pair() {
    for (int& end : ends) {
      const int low = std::exchange(end, ::fcntl(end, F_DUPFD_CLOEXEC, lowest));
      EXPECT_GE(end, lowest);
      ::close(low);
    }
  }
};

// Numbers go from thread to thread: whoever waits is told of the close, and of nothing else.
TEST_F(UringPoller, ANumberThatIsReusedAtOnceIsAnotherDescriptor) {
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    for (const io::socket_events way : {socket_events::epoll, socket_events::uring}) {
      runtime_options options;
      options.model = kind;
      options.socket_events = way;
      runtime with(options);
      with.run([&] {
        std::vector<thread> threads;
        for (int i = 0; i < 8; ++i) {
          threads.emplace_back([i] {
            for (int k = 0; k < 50; ++k) {
              distant_pair pair;
              if (k % 3 == 0) {
                EXPECT_EQ(io::receive_ahead(pair.ends[0]), 0);
              }
              // One that begins late may wait for the number's next descriptor: to which nobody
              // writes, either.
              thread reader([from = pair.ends[0]] {
                char byte = 0;
                const ssize_t result = io::read(from, &byte, 1);
                const int error = result < 0 ? last_error() : 0;
                EXPECT_LE(result, 0);
                EXPECT_TRUE(error == 0 || error == EBADF) << error;
              });
              for (int n = 0; n < (i + k) % 4; ++n) this_thread::yield();
              pair.drop(k % 2);
              pair.drop(1 - k % 2);
              reader.join();
            }
          });
        }
        for (thread& each : threads) each.join();
      });
    }
  }
}

TEST_F(UringPoller, SaysWhichCallFailed) {
  struct failure {
    faulty_call call;
    int error;
  };
  for (const failure one :
       {failure{faulty_call::io_uring_setup, EPERM}, failure{faulty_call::io_uring_setup, ENOSYS},
        failure{faulty_call::eventfd, EMFILE}, failure{faulty_call::thread_create, EAGAIN}}) {
    uring_poller poller(ring_owner::own_thread);
    base::fail_nth(one.call, 1, one.error);
    EXPECT_EQ(poller.open(), one.error);
    base::fail_nth(one.call, 0, 0);
    EXPECT_FALSE(poller.in_use());
    poller.poll(deadline::at(0));
  }
}

TEST_F(UringPoller, ARuntimeFallsBackToEpoll) {
  for (const model kind : {model::many_to_one, model::many_to_many}) {
    runtime_options options;
    options.model = kind;
    options.socket_events = socket_events::uring;
    base::fail_nth(faulty_call::io_uring_setup, 1, EPERM);
    runtime with(options);
    base::fail_nth(faulty_call::io_uring_setup, 0, 0);
    EXPECT_EQ(with.socket_events(), socket_events::epoll);
    EXPECT_EQ(with.socket_events_refusal(), EPERM);
    with.run([&] {
      socket_pair pair;
      EXPECT_EQ(io::receive_ahead(pair.ends[0]), 0);
      char byte = 0;
      thread writer([&] { EXPECT_EQ(io::write(pair.ends[1], "x", 1), 1); });
      EXPECT_EQ(io::read(pair.ends[0], &byte, 1), 1);
      writer.join();
    });
  }
}

// The child has no ring; the parent's is as it was.
TEST_F(UringPoller, AChildLeavesItsParentsRingAlone) {
  pipe_pair pipe;
  with_poller([&](uring_poller& poller) {
    ASSERT_EQ(watch(poller, pipe), 0);
    poller.poll(deadline::at(1));
    const pid_t child = ::fork();
    if (child == 0) {
      poller.poll(deadline::never());
      poller.interrupt();
      const bool quiet = !poller.in_use() && poller.watch(pipe.ends[1], 0) == ENXIO;
      ::_exit(quiet ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
    while ((flags_of(pipe.reader()) & descriptor::readable) == 0) poller.poll(deadline::never());
  });
}

}  // namespace
}  // namespace treadle::io
