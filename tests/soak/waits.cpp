// deadlines and races: waits that end by a deadline of zero, past, near or never; and waits for
// which the end of the limit and what they wait for come at the same time: exactly one wins, and
// nothing is lost.
#include <fcntl.h>
#include <poll.h>

#include "tests/soak/tools.hpp"
#include "treadle/base/clock.hpp"

namespace soak {
namespace {

namespace io = treadle::io;
using clock = std::chrono::steady_clock;

enum deadline_count { looked, past, near, never };

void expect_timeout(ssize_t got, const char* what) {
  const int error = io::own_errno();
  if (got < 0 && is_drought(error)) throw excuse();
  SOAK_CHECK(got == -1 && error == ETIMEDOUT, what, got < 0 ? error : got);
}

void end_by_limit(seat& mine, const treadle::wait_limit& limit) {
  const pair_of_ends ends = make_pipe();
  char byte = 0;
  expect_timeout(io::read(ends.reading.get(), &byte, 1, limit), "a read without a writer");
  const int polled = io::poll(ends.reading.get(), POLLIN, limit);
  if (polled < 0 && is_drought(io::own_errno())) throw excuse();
  SOAK_CHECK(polled == 0, "a poll without a writer", polled);
  treadle::counting_semaphore<> permits(0);
  SOAK_CHECK(!permits.try_acquire(limit), "a permit out of nothing", 0);
  treadle::mutex lock;
  treadle::condition_variable changed;
  std::unique_lock hold(lock);
  SOAK_CHECK(!changed.try_wait(hold, limit, [] { return false; }), "notified by nobody", 0);
  mine.mark("limits ended");
}

// What is there is taken, whatever the deadline.
void take_what_is_there(const treadle::wait_limit& limit) {
  const pair_of_ends ends = make_pipe();
  SOAK_MUST(io::write(ends.writing.get(), "x", 1));
  char byte = 0;
  SOAK_CHECK(SOAK_MUST(io::read(ends.reading.get(), &byte, 1, limit)) == 1, "no byte", 0);
  treadle::counting_semaphore<> permits(1);
  SOAK_CHECK(permits.try_acquire(limit), "no permit", 0);
}

void wait_for_ever() {
  const pair_of_ends ends = make_pipe();
  crowd others;
  others.add([&] {
    treadle::this_thread::sleep_for(microseconds(200));
    SOAK_MUST(io::write(ends.writing.get(), "x", 1));
  });
  char byte = 0;
  const treadle::wait_limit limit(clock::time_point::max());
  const ssize_t got = io::read(ends.reading.get(), &byte, 1, limit);
  const int error = io::own_errno();
  if (got < 0 && !is_drought(error)) violate(__FILE__, __LINE__, "a read for ever", error);
  others.join();
}

void deadline_turn(seat& mine) {
  mine.mark("zero");
  end_by_limit(mine, std::chrono::nanoseconds(0));
  take_what_is_there(std::chrono::nanoseconds(0));
  mine.count(looked);
  mine.mark("past");
  end_by_limit(mine, clock::now() - std::chrono::hours(1));
  end_by_limit(mine, clock::time_point::min());
  take_what_is_there(clock::time_point::min());
  mine.count(past);
  mine.mark("near");
  const auto span = microseconds(mine.draw(800));
  const auto start = clock::now();
  end_by_limit(mine, span);
  SOAK_CHECK(clock::now() - start >= span, "four limits ended early", span.count());
  mine.count(near);
  mine.mark("never");
  wait_for_ever();
  mine.count(never);
}

enum race_count { taken, stopped, timed };

// One byte, one reader, and an end of its limit: either the reader has it or the pipe.
void race_for_a_byte(seat& mine, bool by_stop) {
  const pair_of_ends ends = make_pipe();
  std::stop_source stop;
  const treadle::wait_limit limit = by_stop ? treadle::wait_limit(stop.get_token())
                                            : treadle::wait_limit(microseconds(mine.draw(200)));
  const unsigned pause = mine.draw(200);
  ssize_t got = 0;
  int error = 0;
  crowd all;
  all.add([&] {
    char byte = 0;
    got = io::read(ends.reading.get(), &byte, 1, limit);
    error = io::own_errno();
  });
  all.add([&] {
    if (pause > 50) treadle::this_thread::sleep_for(microseconds(pause));
    SOAK_MUST(io::write(ends.writing.get(), "x", 1));
  });
  if (mine.draw(2) == 0) treadle::this_thread::sleep_for(microseconds(pause));
  if (by_stop) stop.request_stop();
  all.join();
  pollfd left{ends.reading.get(), POLLIN, 0};
  const bool in_pipe = ::poll(&left, 1, 0) == 1;
  if (got < 0 && is_drought(error)) throw excuse();
  if (got == 1) {
    SOAK_CHECK(!in_pipe, "a byte was read twice", 0);
    mine.count(taken);
  } else {
    SOAK_CHECK(got == -1 && error == (by_stop ? ECANCELED : ETIMEDOUT), "a race's loser", error);
    SOAK_CHECK(in_pipe, "a byte was lost", 0);
    mine.count(by_stop ? stopped : timed);
  }
}

// As many permits as waiters, and a stop for all: each permit is taken or left.
void race_for_permits(seat& mine) {
  constexpr int waiters = 4;
  treadle::counting_semaphore<> permits(0);
  std::stop_source stop;
  std::atomic<int> got{0};
  crowd all;
  for (int i = 0; i < waiters; ++i) {
    all.add([&, span = microseconds(mine.draw(200)), by_stop = mine.draw(2) == 0] {
      const bool mine_now = by_stop ? permits.try_acquire(stop.get_token())
                                    : permits.try_acquire({span, stop.get_token()});
      if (mine_now) got.fetch_add(1);
    });
  }
  all.add([&, pause = mine.draw(200)] {
    for (int i = 0; i < waiters; ++i) {
      if (pause > 50 && i == 2) treadle::this_thread::sleep_for(microseconds(pause));
      permits.release();
    }
  });
  if (mine.draw(2) == 0) treadle::this_thread::sleep_for(microseconds(mine.draw(200)));
  stop.request_stop();
  all.join();
  int left = 0;
  while (permits.try_acquire()) ++left;
  SOAK_CHECK(left + got.load() == waiters, "permits taken and left", left + got.load());
  mine.count(taken, static_cast<std::uint64_t>(got.load()));
  mine.count(stopped, static_cast<std::uint64_t>(waiters - got.load()));
}

// A stop while the ring or the pool works on a file: all of the result, or none of it.
void race_for_a_file(seat& mine) {
  const descriptor file = make_file();
  SOAK_MUST(::pwrite(file.get(), "four", 4, 0));
  std::stop_source stop;
  crowd all;
  all.add([&] {
    const int done = io::fsync(file.get(), stop.get_token());
    const int error = io::own_errno();
    if (done < 0 && is_drought(error)) throw excuse();
    SOAK_CHECK(done == 0 || error == ECANCELED, "a stopped fsync", error);
    mine.count(done == 0 ? taken : stopped);
  });
  if (mine.draw(2) == 0) treadle::this_thread::sleep_for(microseconds(mine.draw(300)));
  stop.request_stop();
  all.join();
}

void race_turn(seat& mine) {
  mine.mark("a byte and a stop");
  for (int i = 0; i < 5; ++i) race_for_a_byte(mine, true);
  mine.mark("a byte and a deadline");
  for (int i = 0; i < 5; ++i) race_for_a_byte(mine, false);
  mine.mark("permits");
  for (int i = 0; i < 5; ++i) race_for_permits(mine);
  mine.mark("fsync and a stop");
  race_for_a_file(mine);
}

}  // namespace

const part deadlines{
    "deadlines", needs::nothing, 1, {"zero", "past", "near", "never"}, deadline_turn};
const part races{"races", needs::nothing, 2, {"taken", "stopped", "timed-out"}, race_turn};

}  // namespace soak
