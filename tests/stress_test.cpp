// Random mixtures of every primitive, with a known answer: `stress_test [REPETITIONS [SEED]]`.
//
// Each repetition draws a model, a width and a script for each thread from its seed. Every step
// adds a number that the seed alone decides to a sum, by way of one of the primitives; so the sum
// is known before anything runs, and a step that is lost, doubled or torn shows. The work is
// bounded, time is not looked at. A failure prints the seed that repeats it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <treadle/treadle.hpp>
#include <vector>

namespace treadle {
namespace {

int repetitions = 12;  // guess: some seconds in an instrumented build; hundreds by hand
unsigned first_seed = 1;

enum class step : unsigned {
  locked,      // a plain counter under a mutex
  two_locks,   // two accounts under scoped_lock, in any order
  timed_lock,  // tries with a short time-out until it gets it
  recursive,   // a recursive mutex, three deep
  permits,     // a counting semaphore of three
  channel,     // through a bounded buffer to the drain thread
  child,       // a child thread does it, joined
  detached,    // a detached child does it, waited for by a latch
  own_kernel,  // a child of system scope
  forks,       // a scope whose two children do halves
  thrown,      // carried by an exception over switches
  specific,    // collected in a thread_specific, added at the end of the thread
  once,        // the first of all threads does it, counted once for all
  nap,         // sleeps a little first
  count
};

constexpr unsigned step_count = static_cast<unsigned>(step::count);
constexpr unsigned once_flags = 5;

struct script {
  std::vector<std::pair<step, unsigned>> steps;  // what, and the number that it adds
};

struct plan {
  runtime_options options;
  std::vector<script> scripts;
  unsigned long expected = 0;
};

plan draw(unsigned seed) {
  std::mt19937 random(seed);
  plan made;
  constexpr std::array<model, 3> kinds{model::many_to_one, model::one_to_one, model::many_to_many};
  made.options.model = kinds[random() % 4 % 3];
  if (*made.options.model == model::many_to_many) made.options.width = 1 + random() % 4;
  made.options.stack_bytes = std::size_t{64} * 1024;
  const unsigned threads = 3 + random() % 30;
  std::array<bool, once_flags> drawn{};
  for (unsigned t = 0; t < threads; ++t) {
    script one;
    const unsigned length = 5 + random() % 40;
    for (unsigned i = 0; i < length; ++i) {
      const auto what = static_cast<step>(random() % step_count);
      const unsigned number = 1 + random() % 1000;
      one.steps.emplace_back(what, number);
      if (what != step::once) {
        made.expected += number;
      } else if (!drawn[number % once_flags]) {
        drawn[number % once_flags] = true;
        made.expected += 10'000 + number % once_flags;
      }
    }
    made.scripts.push_back(std::move(one));
  }
  return made;
}

// What the threads of one repetition share.
class playground {
 public:
  void play(const script& mine) {
    for (const auto& [what, number] : mine.steps) take(what, number);
    collected_.fetch_add(*own_);
  }

  // The drain end of the channel; returns when it is closed and empty.
  void drain() {
    for (;;) {
      std::unique_lock hold(channel_lock_);
      channel_filled_.wait(hold, [this] { return !channel_.empty() || closed_; });
      if (channel_.empty()) return;
      drained_ += channel_.front();
      channel_.pop_front();
      channel_emptied_.notify_one();
    }
  }
  void close() {
    const std::lock_guard hold(channel_lock_);
    closed_ = true;
    channel_filled_.notify_all();
  }

  // Nothing runs any more.
  unsigned long sum() const {
    return counter_ + first_account_ + second_account_ + timed_ + nested_ + drained_ + collected_;
  }

 private:
  void take(step what, unsigned number) {
    switch (what) {
      case step::locked:
        add_locked(number);
        break;
      case step::two_locks:
        transfer(number);
        break;
      case step::timed_lock:
        add_timed(number);
        break;
      case step::recursive:
        add_nested(number);
        break;
      case step::permits:
        add_with_permit(number);
        break;
      case step::channel:
        send(number);
        break;
      case step::child:
        add_in_child(number, contention_scope::process);
        break;
      case step::detached:
        add_in_detached(number);
        break;
      case step::own_kernel:
        add_in_child(number, contention_scope::system);
        break;
      case step::forks:
        fork(number);
        break;
      case step::thrown:
        carry(number);
        break;
      case step::specific: {
        *own_ += number;
        if (number % 4 == 0) this_thread::yield();
        break;
      }
      case step::once:
        call_once(flags_[number % once_flags], [this, number] {
          this_thread::yield();
          add_locked(10'000 + number % once_flags);
        });
        break;
      case step::nap:
        this_thread::sleep_for(std::chrono::microseconds(number % 50));
        add_locked(number);
        break;
      case step::count:
        break;
    }
  }

  void add_with_permit(unsigned number) {
    permits_.acquire();
    if (inside_.fetch_add(1) >= 3) collected_.fetch_add(1'000'000'000);  // wrong for good
    if (number % 3 == 0) this_thread::yield();
    collected_.fetch_add(number);
    inside_.fetch_sub(1);
    permits_.release();
  }

  void add_in_child(unsigned number, contention_scope where) {
    const jthread t(thread_attributes{.name = "child", .scope = where},
                    [this, number] { add_locked(number); });
    if (number % 2 == 0) this_thread::yield();
  }

  void add_in_detached(unsigned number) {
    latch done(1);
    thread([this, number, &done] {
      add_timed(number);
      done.count_down();
    }).detach();
    done.wait();
  }

  void add_locked(unsigned number) {
    const std::lock_guard hold(lock_);
    const unsigned long before = counter_;
    if (number % 5 == 0) this_thread::yield();
    counter_ = before + number;
  }

  void transfer(unsigned number) {
    if (number % 2 == 0) {
      const scoped_lock hold(first_lock_, second_lock_);
      first_account_ += number + second_account_;
      first_account_ -= second_account_;
    } else {
      const scoped_lock hold(second_lock_, first_lock_);
      second_account_ += number;
    }
  }

  void add_timed(unsigned number) {
    // A wait that is over at once parks nobody, so the loop gives way itself.
    while (!timed_lock_.try_lock_for(std::chrono::microseconds(number % 20))) this_thread::yield();
    if (number % 7 == 0) this_thread::yield();
    timed_ += number;
    timed_lock_.unlock();
  }

  void add_nested(unsigned number) {
    const std::lock_guard outer(nested_lock_);
    const std::lock_guard middle(nested_lock_);
    if (number % 6 == 0) this_thread::yield();
    const std::lock_guard inner(nested_lock_);
    nested_ += number;
  }

  void send(unsigned number) {
    std::unique_lock hold(channel_lock_);
    while (channel_.size() >= 4) {
      static_cast<void>(
          channel_emptied_.wait_for(hold, std::chrono::microseconds(20 + number % 100)));
    }
    channel_.push_back(number);
    channel_filled_.notify_one();
  }

  void fork(unsigned number) {
    scope forks;
    forks.spawn([this, number] { add_locked(number / 2); });
    forks.spawn([this, number] {
      if (number % 3 == 0) this_thread::yield();
      collected_.fetch_add(number - number / 2);
    });
    forks.join();
  }

  void carry(unsigned number) {
    try {
      try {
        throw number;
      } catch (unsigned) {
        this_thread::yield();
        throw;
      }
    } catch (unsigned carried) {
      if (number % 2 == 0) this_thread::yield();
      collected_.fetch_add(carried);
    }
  }

  mutex lock_;
  unsigned long counter_ = 0;  // guarded by lock_

  mutex first_lock_;
  mutex second_lock_;
  unsigned long first_account_ = 0;   // guarded by both
  unsigned long second_account_ = 0;  // guarded by both

  timed_mutex timed_lock_;
  unsigned long timed_ = 0;  // guarded by timed_lock_

  recursive_mutex nested_lock_;
  unsigned long nested_ = 0;  // guarded by nested_lock_

  mutex channel_lock_;
  condition_variable channel_filled_;
  condition_variable channel_emptied_;
  // Guarded by channel_lock_.
  std::deque<unsigned> channel_;
  bool closed_ = false;
  unsigned long drained_ = 0;

  counting_semaphore<3> permits_{3};
  std::atomic<int> inside_{0};
  std::atomic<unsigned long> collected_{0};
  thread_specific<unsigned long> own_;
  std::array<once_flag, once_flags> flags_;
};

void repeat(unsigned seed) {
  const plan made = draw(seed);
  playground ground;
  runtime rt(made.options);
  rt.run([&] {
    thread drain([&ground] { ground.drain(); });
    std::vector<thread> threads;
    for (const script& one : made.scripts) {
      threads.emplace_back([&ground, &one] { ground.play(one); });
    }
    for (thread& t : threads) t.join();
    ground.close();
    drain.join();
  });
  ASSERT_EQ(ground.sum(), made.expected) << "run again with: stress_test 1 " << seed;
}

TEST(Stress, KnownAnswer) {
  for (int i = 0; i < repetitions; ++i) {
    repeat(first_seed + static_cast<unsigned>(i));
    if (HasFatalFailure()) return;
  }
}

// The same mixture at once in several runtimes, from foreign kernel threads.
TEST(Stress, SeveralRuntimesAtOnce) {
  for (int i = 0; i < repetitions; i += 3) {
    std::vector<std::thread> foreign;
    for (unsigned k = 0; k < 3; ++k) {
      foreign.emplace_back([i, k] { repeat(first_seed + 1000 + static_cast<unsigned>(i) + k); });
    }
    for (std::thread& t : foreign) t.join();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace treadle

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) treadle::repetitions = std::atoi(argv[1]);
  if (argc > 2) treadle::first_seed = static_cast<unsigned>(std::atoi(argv[2]));
  return RUN_ALL_TESTS();
}
