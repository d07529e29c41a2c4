// A kernel thread's poll of several descriptors: whose its eventfd is, and when it sleeps.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "treadle/io/calls.hpp"
#include "treadle/io/descriptor_table.hpp"
#include "treadle/io/kernel_wait.hpp"
#include "treadle/io/receive_queue.hpp"
#include "treadle/io/taken_threads.hpp"

namespace treadle::io {
namespace {

struct watched_pipe {
  watched_pipe() {
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    int error = 0;
    which = descriptor_table::instance().find(ends[0], error);
  }
  ~watched_pipe() {
    io::close(ends[0]);
    ::close(ends[1]);
  }
  watched_pipe(const watched_pipe&) = delete;
  watched_pipe& operator=(const watched_pipe&) = delete;

  bool has_waiter() const {
    const base::guard hold(which->lock);
    return which->first != nullptr;
  }
  void await_waiter(bool there) const {
    while (has_waiter() != there) std::this_thread::yield();
  }
  void make_readable() const { EXPECT_EQ(::write(ends[1], "x", 1), 1); }

  int ends[2];
  descriptor* which;
};

bool is_readable(int number) {
  pollfd asked{number, POLLIN, 0};
  return ::poll(&asked, 1, 0) > 0;
}

// The one that is lent next.
int next_eventfd() {
  lent_eventfd one;
  EXPECT_EQ(one.open(), 0);
  return one.number();
}

// Who is in a list may be rung: by a close, until the poll has left that list, too.
TEST(Poll, KeepsItsEventfdUntilItHasLeftAllLists) {
  const int number = next_eventfd();
  const watched_pipe first;
  const watched_pipe second;
  const watched_pipe third;
  std::thread poller([&] {
    pollfd asked[] = {
        {first.ends[0], POLLIN, 0}, {second.ends[0], POLLIN, 0}, {third.ends[0], POLLIN, 0}};
    EXPECT_EQ(io::poll(asked, 3), 1);
  });
  third.await_waiter(true);
  {
    const base::guard stuck(second.which->lock);
    first.make_readable();
    first.await_waiter(false);  // so it leaves, one after another
    lent_eventfd others;
    EXPECT_EQ(others.open(), 0);
    EXPECT_NE(others.number(), number);
    {
      const base::guard hold(third.which->lock);
      third.which->begin_lifetime();
    }
    EXPECT_FALSE(is_readable(others.number())) << "rung for somebody else";
  }
  poller.join();
  EXPECT_FALSE(is_readable(next_eventfd()));
}

// Who was rung and found nothing sleeps again, and is rung again.
TEST(Poll, TakesTheRingWithIt) {
  const int number = next_eventfd();
  const watched_pipe one;
  one.which->ahead = receive_queue::make();
  ASSERT_NE(one.which->ahead, nullptr);
  std::thread poller([&] {
    pollfd asked{one.ends[0], POLLIN, 0};
    EXPECT_EQ(io::poll(&asked, 1), 1);
    EXPECT_EQ(asked.revents, POLLNVAL);
  });
  one.await_waiter(true);
  for (int round = 0; round < 3; ++round) {
    // Of bytes that somebody else has read by the time that it looks.
    static_cast<void>(one.which->deliver(one.which->lifetime.load(base::relaxed),
                                         descriptor::receipt{nullptr, -1, -EAGAIN, false}));
    while (!one.has_waiter() || is_readable(number)) std::this_thread::yield();
  }
  {
    const base::guard hold(one.which->lock);
    one.which->begin_lifetime();
  }
  poller.join();
}

// Between the event and its next look: the number may be another file's by then.
TEST(Poll, SeesACloseOfWhatItIsAboutToWaitForAgain) {
  const watched_pipe one;
  one.which->ahead = receive_queue::make();
  ASSERT_NE(one.which->ahead, nullptr);
  std::thread poller([&] {
    pollfd asked{one.ends[0], POLLIN, 0};
    EXPECT_EQ(io::poll(&asked, 1), 1);
    EXPECT_EQ(asked.revents, POLLNVAL);
  });
  one.await_waiter(true);
  {
    const base::guard hold(one.which->lock);
    taken_threads taken;
    EXPECT_FALSE(taken.take(*one.which, descriptor::readable, wait_outcome::ready));
    one.which->begin_lifetime();
  }
  poller.join();
}

}  // namespace
}  // namespace treadle::io
