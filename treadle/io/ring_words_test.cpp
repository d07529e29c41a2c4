// Every interleaving of those who call for io_uring, the ring's owner and the kernel.
//
// Callers and owner do as perform(), work(), take_messages(), take_back() and wait() of
// file_ring.cpp do. Checked in every schedule: every call comes back, though nobody ever wakes by
// himself; nobody touches a request whose caller has gone; and none goes before the kernel is done.
#include "treadle/io/ring_words.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "tests/support/explored_io.hpp"

namespace treadle::io {
namespace {

using interleave::explore;
using interleave::explored_atomic;
using interleave::explored_io;
using interleave::require;
using interleave::verdict;
using interleave::wait_until;

// Switches in a schedule. Guesses: a second or two each.
#if defined(TREADLE_TSAN) || defined(TREADLE_ASAN)
constexpr unsigned ones_max = 3;
constexpr unsigned twos_max = 1;
#else
constexpr unsigned ones_max = 4;
constexpr unsigned twos_max = 2;
#endif

using news = ring_news<explored_io>;

struct request;
struct message {
  request* about;
  bool cancels;
  message* next = nullptr;
};

struct request {
  explicit request(core::thread& who) : heard(who) {}

  message start{this, false};
  message cancel{this, true};
  enum { fresh, waiting, in_kernel, finished } stage = fresh;  // the owner's
  news heard;
  bool ends_by_itself = true;
  bool is_gone = false;
  explored_atomic<int> begun;      // the kernel has it
  explored_atomic<int> cancelled;  // and is to give it back
  explored_atomic<int> completed;  // it has, and has not told
  bool is_over = false;            // it has told
};

// Who posts looks whether the owner sleeps, and pushes then.
template <class Message>
class hasty_post : public ring_post<Message, explored_io> {
 public:
  bool put(Message& one) {
    const bool sleeps = looks_asleep_.load() != 0;
    static_cast<void>(ring_post<Message, explored_io>::put(one));
    return sleeps;
  }
  bool may_sleep() {
    looks_asleep_.store(1);
    return ring_post<Message, explored_io>::may_sleep();
  }

 private:
  explored_atomic<int> looks_asleep_;
};

template <class Post, unsigned Callers>
struct world {
  world() { explored_io::reset(); }

  // ---- a caller ----

  void post(message& one) {
    if (post_.put(one)) explored_io::ring(0);
  }
  void call(request& mine, std::uint32_t waits_for) {
    post(mine.start);
    if (interleave::choose(2) == 0) {
      while (!mine.heard.has(news::is_complete)) explored_io::park();
    } else if (!mine.heard.has(news::is_complete)) {
      mine.ends_by_itself = interleave::choose(2) == 0;
      come_to_limit(mine, waits_for);
    }
    leave(mine);
  }
  void call_without_limit(request& mine) {
    post(mine.start);
    while (!mine.heard.has(news::is_complete)) explored_io::park();
    leave(mine);
  }
  void call_what_ends_at_the_limit(request& mine) {
    mine.ends_by_itself = false;
    post(mine.start);
    come_to_limit(mine, news::is_complete | news::cancel_seen);
    leave(mine);
  }
  void come_to_limit(request& mine, std::uint32_t waits_for) {
    post(mine.cancel);
    while (!mine.heard.has(waits_for)) explored_io::park();
  }
  void leave(request& mine) {
    require(mine.is_over, "the kernel is not done with it");
    mine.is_gone = true;
    left.fetch_sub(1);
  }

  // ---- the owner ----

  static request& touched(request& one) {
    require(!one.is_gone, "touched after its caller had gone");
    return one;
  }
  void work() {
    while (left.peek() != 0) {
      take_messages();
      start_waiting();
      if (post_.may_sleep()) {
        wait_until([this] { return has_news(); }, "sleep in the ring");
        post_.get_up();
      }
      if (explored_io::bells[0].peek() != 0) explored_io::bells[0].store(0);
      for (request& one : all) {
        if (one.completed.peek() == 0) continue;
        one.completed.store(0);
        in_flight = false;
        finish(one);
      }
    }
  }
  bool has_news() const {
    bool any = explored_io::bells[0].peek() != 0 || left.peek() == 0;
    for (const request& one : all) any = any || one.completed.peek() != 0;
    return any;
  }
  void take_messages() {
    message* in_order = post_.take();
    while (in_order != nullptr) {
      request& about = touched(*in_order->about);
      const bool cancels = in_order->cancels;
      in_order = in_order->next;
      if (!cancels) {
        about.stage = request::waiting;
      } else {
        if (about.stage == request::waiting) finish(about);
        if (about.stage == request::in_kernel) about.cancelled.store(1);
        touched(about).heard.tell(news::cancel_seen);
      }
    }
  }
  // One at a time is with the kernel.
  void start_waiting() {
    for (request& one : all) {
      if (in_flight || one.stage != request::waiting) continue;
      in_flight = true;
      touched(one).stage = request::in_kernel;
      one.begun.store(1);
    }
  }
  void finish(request& one) {
    touched(one).stage = request::finished;
    one.is_over = true;
    one.heard.tell(news::is_complete);
  }

  // ---- the kernel ----

  static bool ends(const request& one) {
    return one.stage == request::in_kernel && one.begun.peek() != 0 &&
           (one.ends_by_itself || one.cancelled.peek() != 0);
  }
  void make() {
    for (;;) {
      wait_until([this] { return left.peek() == 0 || ends(all[0]) || ends(all[1]); },
                 "the kernel has nothing to do");
      if (left.peek() == 0) return;
      request& one = ends(all[0]) ? all[0] : all[1];
      one.begun.store(0);
      one.completed.store(1);
    }
  }

  Post post_;
  std::array<request, 2> all{request(explored_io::record(1)), request(explored_io::record(2))};
  bool in_flight = false;  // the owner's
  explored_atomic<int> left{static_cast<int>(Callers)};
};

using right_post = ring_post<message, explored_io>;

void expect_good(const verdict& v) {
  EXPECT_TRUE(v.good()) << v.report();
  testing::Test::RecordProperty("schedules", std::to_string(v.schedules));
}

template <class Post>
verdict explore_one(std::uint32_t waits_for) {
  using one = world<Post, 1>;
  return explore<one>(
      {.preemptions_max = ones_max},
      {[](one& s) { s.work(); }, [waits_for](one& s) { s.call(s.all[0], waits_for); },
       [](one& s) { s.make(); }},
      [](one&) {});
}

TEST(RingWords, ACallComesBackWhenAllNewsIsThere) {
  expect_good(explore_one<right_post>(news::is_complete | news::cancel_seen));
}

TEST(RingWords, OfPostersAndASleepingOwnerOneSeesTheOther) {
  using two = world<right_post, 2>;
  // Of two requests one has to wait until the kernel is done with the other.
  expect_good(explore<two>(
      {.preemptions_max = twos_max},
      {[](two& s) { s.work(); }, [](two& s) { s.call_without_limit(s.all[0]); },
       [](two& s) { s.call_what_ends_at_the_limit(s.all[1]); }, [](two& s) { s.make(); }},
      [](two&) {}));
}

// The tests can fail.
TEST(RingWords, WhoGoesAtTheFirstNewsIsTouchedByTheSecond) {
  EXPECT_EQ(explore_one<right_post>(news::is_complete).fault, "touched after its caller had gone");
}
TEST(RingWords, WhoLooksBeforeItPushesIsNotSeen) {
  EXPECT_NE(explore_one<hasty_post<message>>(news::is_complete | news::cancel_seen).fault, "");
}

}  // namespace
}  // namespace treadle::io
