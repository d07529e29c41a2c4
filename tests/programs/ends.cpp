// Ends the process in unusual ways: `ends HOW`, with the model from TREADLE_MODEL.
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>
#include <treadle/treadle.hpp>
#include <vector>

namespace {

// Uses the default runtime when static objects are destroyed.
struct late_user {
  ~late_user() {
    if (!armed) return;
    treadle::mutex m;
    int value = 0;
    treadle::thread t([&] {
      const treadle::lock_guard<treadle::mutex> hold(m);
      value = 1;
    });
    t.join();
    treadle::this_thread::yield();
    treadle::this_thread::sleep_for(std::chrono::microseconds(10));
    std::printf("late %d\n", value);
    std::fflush(stdout);
  }
  bool armed = false;
};

late_user late;

// Uses it before main() starts.
struct early_user {
  early_user() {
    if (std::getenv("TREADLE_TEST_EARLY") == nullptr) return;
    treadle::thread t([this] { value = 1; });
    t.join();
  }
  int value = 0;
};

early_user early;

// Never destroyed: threads still wait on it when static objects are.
treadle::counting_semaphore<>& never = *new treadle::counting_semaphore<>(0);
std::atomic<int> running{0};

void leave_parked_threads() {
  for (int i = 0; i < 10; ++i) {
    treadle::thread([] {
      running.fetch_add(1);
      never.acquire();
    }).detach();
  }
  while (running != 10) treadle::this_thread::yield();
}

void leave_running_threads() {
  for (int i = 0; i < 4; ++i) {
    treadle::thread([] {
      running.fetch_add(1);
      for (;;) treadle::this_thread::yield();
    }).detach();
  }
  while (running != 4) treadle::this_thread::yield();
}

void leave_sleeping_threads() {
  for (int i = 0; i < 10; ++i) {
    treadle::thread([] {
      running.fetch_add(1);
      treadle::this_thread::sleep_for(std::chrono::hours(1));
    }).detach();
  }
  while (running != 10) treadle::this_thread::yield();
}

// Kernel threads that the runtime did not make come, use it, and end.
void foreign_threads_come_and_go() {
  treadle::mutex m;
  treadle::thread_specific<int> mine;
  long sum = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::thread> foreign;
    for (int i = 0; i < 4; ++i) {
      foreign.emplace_back([&] {
        *mine += 1;
        treadle::thread t([&] {
          const treadle::lock_guard<treadle::mutex> hold(m);
          ++sum;
        });
        t.join();
        const treadle::lock_guard<treadle::mutex> hold(m);
        sum += *mine;
      });
    }
    for (std::thread& t : foreign) t.join();
  }
  std::printf("sum %ld\n", sum);
}

void take_all_keys() {
  pthread_key_t one{};
  while (pthread_key_create(&one, nullptr) == 0) {
  }
}

// A foreign thread ends while a thread that it made still runs and another waits for both.
void foreign_maker_ends_first() {
  treadle::binary_semaphore go(0);
  treadle::binary_semaphore done(0);
  std::unique_ptr<treadle::thread> made;
  std::thread foreign([&] {
    made = std::make_unique<treadle::thread>([&] {
      go.acquire();
      done.release();
    });
  });
  foreign.join();
  go.release();
  done.acquire();
  made->join();
  std::puts("outlived");
}

void use_from_a_kernel_threads_tls_destructor() {
  struct at_end {
    ~at_end() {
      if (!armed) return;
      treadle::thread t([] { running.fetch_add(1); });
      t.join();
    }
    bool armed = false;
  };
  for (int i = 0; i < 20; ++i) {
    std::thread foreign([] {
      thread_local at_end last;
      last.armed = true;
      treadle::this_thread::yield();
    });
    foreign.join();
  }
  std::printf("tls %d\n", running.load());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view how = argc > 1 ? argv[1] : "";
  if (how == "parked") {
    leave_parked_threads();
  } else if (how == "running") {
    leave_running_threads();
  } else if (how == "sleeping") {
    leave_sleeping_threads();
  } else if (how == "exit-inside") {
    leave_parked_threads();
    treadle::thread t([] { std::exit(7); });
    t.join();
  } else if (how == "exit-inside-late") {
    late.armed = true;
    treadle::thread t([] { std::exit(7); });
    t.join();
  } else if (how == "quick-exit") {
    leave_running_threads();
    std::quick_exit(8);
  } else if (how == "static-destructor") {
    late.armed = true;
    treadle::thread([] {}).join();
  } else if (how == "pthread-exit") {
    late.armed = true;
    treadle::thread([] {
      treadle::this_thread::sleep_for(std::chrono::milliseconds(20));
    }).detach();
    pthread_exit(nullptr);
  } else if (how == "static-destructor-first-use") {
    late.armed = true;
  } else if (how == "static-destructor-parked") {
    late.armed = true;
    leave_parked_threads();
  } else if (how == "early") {
    std::printf("early %d\n", early.value);
  } else if (how == "foreign") {
    foreign_threads_come_and_go();
  } else if (how == "foreign-without-keys") {
    take_all_keys();
    foreign_threads_come_and_go();
  } else if (how == "foreign-maker") {
    foreign_maker_ends_first();
  } else if (how == "foreign-tls") {
    use_from_a_kernel_threads_tls_destructor();
  } else {
    return 2;
  }
  std::puts("end of main");
  return 0;
}
