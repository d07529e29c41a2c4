// notify_all_at_thread_exit in every model: who waits goes on when the thread is gone, and not
// before.
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <thread>
#include <treadle/condition_variable.hpp>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/thread_specific.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class ThreadExit : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(ThreadExit, every_model, model_names);

struct last_words {
  ~last_words() {
    if (said != nullptr) *said = true;
  }
  bool* said = nullptr;
};

TYPED_TEST(ThreadExit, NotifiesAfterTheThreadsValues) {
  this->in([] {
    thread_specific<last_words> words;
    mutex m;
    condition_variable ended;
    bool ready = false;  // both guarded by m
    bool said = false;
    binary_semaphore told(0);
    binary_semaphore end(0);
    thread([&] {
      words.get().said = &said;
      std::unique_lock hold(m);
      ready = true;
      notify_all_at_thread_exit(ended, std::move(hold));
      told.release();
      end.acquire();
    }).detach();
    told.acquire();
    EXPECT_FALSE(m.try_lock());  // the thread lives, and has the lock
    end.release();
    std::unique_lock hold(m);
    ended.wait(hold, [&] { return ready; });
    EXPECT_TRUE(said);
  });
}

TYPED_TEST(ThreadExit, WakesAllWhoWait) {
  this->in([] {
    mutex m;
    condition_variable ended;
    bool ready = false;
    std::size_t waiting = 0;
    constexpr std::size_t count = 10;
    std::vector<thread> waiters;
    for (std::size_t i = 0; i < count; ++i) {
      waiters.emplace_back([&] {
        std::unique_lock hold(m);
        ++waiting;
        ended.wait(hold, [&] { return ready; });
      });
    }
    testing_support::eventually([&] {
      const std::lock_guard hold(m);
      return waiting == count;
    });
    thread last([&] {
      std::unique_lock hold(m);
      ready = true;
      notify_all_at_thread_exit(ended, std::move(hold));
    });
    for (thread& each : waiters) each.join();
    last.join();
  });
}

TYPED_TEST(ThreadExit, MutexAndConditionMayBeDestroyedByTheWoken) {
  struct shared_by_two {
    mutex m;
    condition_variable ended;
    bool ready = false;
  };
  this->in([] {
    for (std::size_t round = 0; round < scaled(300); ++round) {
      auto both = std::make_unique<shared_by_two>();
      thread last([with = both.get()] {
        std::unique_lock hold(with->m);
        with->ready = true;
        notify_all_at_thread_exit(with->ended, std::move(hold));
      });
      {
        std::unique_lock hold(both->m);
        both->ended.wait(hold, [&] { return both->ready; });
      }
      both.reset();
      last.join();
    }
  });
}

TYPED_TEST(ThreadExit, OfAForeignKernelThread) {
  this->in([] {
    mutex m;
    condition_variable ended;
    bool ready = false;
    std::thread foreign([&] {
      std::unique_lock hold(m);
      ready = true;
      notify_all_at_thread_exit(ended, std::move(hold));
    });
    {
      std::unique_lock hold(m);
      ended.wait(hold, [&] { return ready; });
    }
    foreign.join();
  });
}

}  // namespace
}  // namespace treadle
