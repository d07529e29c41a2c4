// Every wait of the core that takes a limit, behind one interface, so that each can be asked the
// same questions: tests/conformance/stop_test.cpp and its neighbours.
#pragma once

#include <chrono>
#include <mutex>
#include <treadle/barrier.hpp>
#include <treadle/condition_variable.hpp>
#include <treadle/event.hpp>
#include <treadle/latch.hpp>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <treadle/shared_mutex.hpp>
#include <treadle/thread.hpp>
#include <treadle/wait_group.hpp>
#include <treadle/wait_limit.hpp>
#include <utility>

namespace treadle::testing_support {

// One wait that can be granted once. grant() is called by the thread that made the object;
// is_whole() after everybody has ended: nothing was lost and nothing was given twice.
struct semaphore_wait {
  static constexpr const char* name = "semaphore";
  bool wait(const wait_limit& limit) { return permits.try_acquire(limit); }
  void grant() { permits.release(); }
  bool is_whole(bool got) { return permits.try_acquire() != got && !permits.try_acquire(); }
  counting_semaphore<> permits{0};
};

struct latch_wait {
  static constexpr const char* name = "latch";
  bool wait(const wait_limit& limit) { return open.try_wait(limit); }
  void grant() { open.count_down(); }
  bool is_whole(bool) { return open.try_wait(); }
  latch open{1};
};

template <class Mutex>
struct mutex_wait {
  static constexpr const char* name = "mutex";
  mutex_wait() { held.lock(); }
  bool wait(const wait_limit& limit) {
    if (!held.try_lock(limit)) return false;
    held.unlock();
    return true;
  }
  void grant() { held.unlock(); }
  bool is_whole(bool) {
    if (!held.try_lock()) return false;
    held.unlock();
    return true;
  }
  Mutex held;
};

// To read while somebody writes; and the other way round.
struct reader_wait {
  static constexpr const char* name = "reader";
  reader_wait() { held.lock(); }
  bool wait(const wait_limit& limit) {
    if (!held.try_lock_shared(limit)) return false;
    held.unlock_shared();
    return true;
  }
  void grant() { held.unlock(); }
  bool is_whole(bool) {
    if (!held.try_lock()) return false;
    held.unlock();
    return true;
  }
  shared_timed_mutex held;
};

struct writer_wait {
  static constexpr const char* name = "writer";
  writer_wait() { held.lock_shared(); }
  bool wait(const wait_limit& limit) {
    if (!held.try_lock(limit)) return false;
    held.unlock();
    return true;
  }
  void grant() { held.unlock_shared(); }
  bool is_whole(bool) {
    if (!held.try_lock_shared()) return false;
    held.unlock_shared();
    return true;
  }
  shared_timed_mutex held;
};

struct auto_reset_wait {
  static constexpr const char* name = "auto-reset event";
  bool wait(const wait_limit& limit) { return next.try_wait(limit); }
  void grant() { next.set(); }
  bool is_whole(bool got) { return next.try_wait() != got && !next.try_wait(); }
  auto_reset_event next;
};

struct manual_reset_wait {
  static constexpr const char* name = "manual-reset event";
  bool wait(const wait_limit& limit) { return open.try_wait(limit); }
  void grant() { open.set(); }
  bool is_whole(bool) { return open.try_wait(); }
  manual_reset_event open;
};

struct group_wait {
  static constexpr const char* name = "wait group";
  bool wait(const wait_limit& limit) { return work.try_wait(limit); }
  void grant() { work.done(); }
  bool is_whole(bool) { return work.try_wait(); }
  wait_group work{1};
};

struct barrier_wait {
  static constexpr const char* name = "barrier";
  bool wait(const wait_limit& limit) { return meeting.try_wait(arrival, limit); }
  void grant() { static_cast<void>(meeting.arrive()); }
  bool is_whole(bool) { return meeting.try_wait(arrival, std::chrono::seconds(0)); }
  barrier<> meeting{2};
  barrier<>::arrival_token arrival = meeting.arrive();
};

template <class Condition>
struct condition_wait {
  static constexpr const char* name = "condition";
  bool wait(const wait_limit& limit) {
    std::unique_lock hold(guard);
    const bool got = changed.try_wait(hold, limit, [this] { return ready; });
    return got && hold.owns_lock() && std::exchange(ready, false);
  }
  void grant() {
    const std::lock_guard hold(guard);
    ready = true;
    changed.notify_one();
  }
  bool is_whole(bool got) { return ready != got; }
  mutex guard;
  Condition changed;
  bool ready = false;
};

struct join_wait {
  static constexpr const char* name = "join";
  bool wait(const wait_limit& limit) { return runs.try_join(limit); }
  void grant() { end.release(); }
  bool is_whole(bool got) {
    if (runs.joinable() == got) return false;
    if (runs.joinable()) runs.join();
    return value == 1;
  }
  binary_semaphore end{0};
  int value = 0;  // plain: the end of the thread orders it
  thread runs{[this] {
    end.acquire();
    value = 1;
  }};
};

// Runs `f` with an object of each kind of wait.
template <class F>
void with_every_wait(F f) {
  f.template operator()<semaphore_wait>();
  f.template operator()<latch_wait>();
  f.template operator()<mutex_wait<timed_mutex>>();
  f.template operator()<mutex_wait<recursive_timed_mutex>>();
  f.template operator()<reader_wait>();
  f.template operator()<writer_wait>();
  f.template operator()<auto_reset_wait>();
  f.template operator()<manual_reset_wait>();
  f.template operator()<group_wait>();
  f.template operator()<barrier_wait>();
  f.template operator()<condition_wait<condition_variable>>();
  f.template operator()<condition_wait<condition_variable_any>>();
  f.template operator()<join_wait>();
}

inline void yield_times(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) this_thread::yield();
}

inline stop_token stopped_token() {
  stop_source source;
  source.request_stop();
  return source.get_token();
}

}  // namespace treadle::testing_support
