// The poller by itself: what it reports, how it is interrupted, and every system call of it that
// can fail. Plus the calls' errors when it does.
#include "treadle/io/epoll_poller.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>
#include <treadle/io.hpp>
#include <treadle/runtime.hpp>
#include <treadle/thread.hpp>

#include "treadle/base/system_call.hpp"
#include "treadle/io/descriptor_table.hpp"

namespace treadle::io {
namespace {

using base::deadline;
using base::faulty_call;

struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe(ends), 0); }
  ~pipe_pair() {
    io::close(ends[0]);
    io::close(ends[1]);
  }
  descriptor& reader() const {
    int error = 0;
    return *descriptor_table::instance().find(ends[0], error);
  }
  int ends[2];
};

std::uint32_t lifetime_of(const descriptor& one) { return one.lifetime.load(base::relaxed); }
std::uint32_t flags_of(const descriptor& one) {
  return one.state.load(base::relaxed) & descriptor::flags;
}

TEST(epoll_poller, is_in_use_from_the_first_watch_on) {
  epoll_poller poller;
  EXPECT_FALSE(poller.in_use());
  poller.poll(deadline::at(0));
  poller.interrupt();
  poller.poll(deadline::never());  // nothing to wait for
  pipe_pair pipe;
  EXPECT_EQ(poller.watch(pipe.ends[0], lifetime_of(pipe.reader())), 0);
  EXPECT_TRUE(poller.in_use());
}

TEST(epoll_poller, reports_an_edge_and_the_end) {
  epoll_poller poller;
  pipe_pair pipe;
  descriptor& reader = pipe.reader();
  ASSERT_EQ(poller.watch(pipe.ends[0], lifetime_of(reader)), 0);
  EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
  poller.poll(deadline::never());
  EXPECT_EQ(flags_of(reader), descriptor::readable);
  reader.change_state(0);
  EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
  poller.poll(deadline::never());
  EXPECT_EQ(flags_of(reader), descriptor::readable);
  ::close(std::exchange(pipe.ends[1], -1));
  poller.poll(deadline::never());
  EXPECT_NE(flags_of(reader) & descriptor::unusual, 0U);
}

TEST(epoll_poller, watching_the_same_open_file_again_reports_anew) {
  epoll_poller poller;
  pipe_pair pipe;
  descriptor& reader = pipe.reader();
  EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(poller.watch(pipe.ends[0], lifetime_of(reader)), 0);
    poller.poll(deadline::never());
    EXPECT_EQ(flags_of(reader), descriptor::readable);
    reader.change_state(0);
  }
  poller.unwatch(pipe.ends[0], lifetime_of(reader), watch_kind::events, nullptr);
  EXPECT_EQ(::write(pipe.ends[1], "x", 1), 1);
  poller.poll(deadline::at(1));
  EXPECT_EQ(flags_of(reader), 0U);
}

TEST(epoll_poller, interrupt_ends_the_next_wait_or_the_present_one) {
  epoll_poller poller;
  pipe_pair pipe;
  ASSERT_EQ(poller.watch(pipe.ends[0], lifetime_of(pipe.reader())), 0);
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
  // Each round is seen after one wait or more: none sleeps over its interrupt.
  for (int i = 1; i <= 2000; ++i) {
    while (round.load(base::acquire) != i) poller.poll(deadline::never());
    round.store(-i, base::release);
  }
  other.join();
}

TEST(epoll_poller, deadline_ends_a_wait_never_early) {
  epoll_poller poller;
  pipe_pair pipe;
  ASSERT_EQ(poller.watch(pipe.ends[0], lifetime_of(pipe.reader())), 0);
  for (const std::int64_t span : {1, 1000, 3'000'000}) {
    const std::int64_t until = base::monotonic_now() + span;
    poller.poll(deadline::at(until));
    EXPECT_GE(base::monotonic_now(), until);
  }
}

TEST(epoll_poller, keeps_errno) {
  epoll_poller poller;
  pipe_pair pipe;
  ASSERT_EQ(poller.watch(pipe.ends[0], lifetime_of(pipe.reader())), 0);
  errno = 77;
  poller.poll(deadline::at(0));
  poller.interrupt();
  poller.poll(deadline::at(1));
  EXPECT_EQ(errno, 77);
}

TEST(epoll_poller, its_end_leaves_no_trace_in_the_table) {
  pipe_pair pipe;
  descriptor& reader = pipe.reader();
  {
    std::optional<epoll_poller> poller(std::in_place);
    ASSERT_EQ(poller->watch(pipe.ends[0], lifetime_of(reader)), 0);
    reader.home = &*poller;
    reader.change_state(descriptor::watched);
  }
  EXPECT_EQ(reader.home, nullptr);
  EXPECT_EQ(flags_of(reader), 0U);
}

TEST(epoll_poller, says_which_call_failed_and_works_the_next_time) {
  epoll_poller poller;
  pipe_pair pipe;
  const std::uint32_t lifetime = lifetime_of(pipe.reader());
  base::fail_nth(faulty_call::epoll_create, 1, EMFILE);
  EXPECT_EQ(poller.watch(pipe.ends[0], lifetime), EMFILE);
  base::fail_nth(faulty_call::eventfd, 1, ENFILE);
  EXPECT_EQ(poller.watch(pipe.ends[0], lifetime), ENFILE);
  base::fail_nth(faulty_call::epoll_ctl, 1, ENOSPC);
  EXPECT_EQ(poller.watch(pipe.ends[0], lifetime), ENOSPC);
  EXPECT_FALSE(poller.in_use());
  base::fail_nth(faulty_call::epoll_ctl, 2, ENOMEM);
  EXPECT_EQ(poller.watch(pipe.ends[0], lifetime), ENOMEM);
  EXPECT_EQ(poller.watch(pipe.ends[0], lifetime), 0);
}

[[gnu::noinline]] int last_error() { return errno; }

// A call says what its poller could not do, and nothing is left behind.
TEST(epoll_poller, callers_get_the_errno) {
  struct failure {
    faulty_call call;
    int error;
  };
  for (const model kind : {model::many_to_one, model::many_to_many, model::one_to_one}) {
    for (const failure one :
         {failure{faulty_call::epoll_create, EMFILE}, failure{faulty_call::eventfd, ENFILE},
          failure{faulty_call::epoll_ctl, ENOSPC}}) {
      const bool own_kernel_thread = kind == model::one_to_one;
      if (own_kernel_thread && one.call != faulty_call::eventfd) continue;
      runtime_options options;
      options.model = kind;
      options.socket_events = socket_events::epoll;
      runtime with(options);
      with.run([&] {
        pipe_pair pipe;
        char byte = 0;
        base::fail_nth(one.call, 1, one.error);
        EXPECT_EQ(io::read(pipe.ends[0], &byte, 1), -1);
        EXPECT_EQ(last_error(), one.error);
        base::fail_nth(one.call, 0, 0);
        thread writer([&] { EXPECT_EQ(io::write(pipe.ends[1], "x", 1), 1); });
        EXPECT_EQ(io::read(pipe.ends[0], &byte, 1), 1);
        writer.join();
      });
    }
  }
}

// Descriptors go from one runtime to another, and outlive both.
TEST(epoll_poller, descriptor_changes_its_runtime) {
  pipe_pair pipe;
  for (int round = 0; round < 20; ++round) {
    runtime_options options;
    options.model = round % 2 == 0 ? model::many_to_many : model::many_to_one;
    runtime first(options);
    runtime second(options);
    for (runtime* one : {&first, &second, &first}) {
      one->run([&] {
        char byte = 0;
        thread writer([&] { EXPECT_EQ(io::write(pipe.ends[1], "x", 1), 1); });
        EXPECT_EQ(io::read(pipe.ends[0], &byte, 1), 1);
        writer.join();
      });
    }
  }
}

}  // namespace
}  // namespace treadle::io
