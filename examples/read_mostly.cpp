// Data that is read all the time and changed now and then. docs/read_mostly.md shows the functions
// of this file to the letter.
#include <treadle/treadle.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

struct settings {
  int limit = 10;
  std::map<std::string, std::string> names;
};

treadle::rcu_ptr<settings> present{settings{}};

int limit_now() {
  const auto seen = present.read();  // one whole version, as long as `seen` lives
  return seen->limit;
}

void set_name(const std::string& key, const std::string& name) {
  present.update([&](settings& next) { next.names[key] = name; });
}

struct route : treadle::rcu_obj_base<route> {
  explicit route(int port_number) : port(port_number) {}
  int port;
};

std::atomic<route*> best{new route(80)};

int port_now() {
  const std::scoped_lock reading(treadle::rcu_default_domain());
  return best.load(std::memory_order_acquire)->port;
}

void change_route(int port) {
  route* old = best.exchange(new route(port), std::memory_order_acq_rel);
  old->retire();  // destroyed when nobody reads it any more
}

struct node : treadle::hazard_pointer_obj_base<node> {
  explicit node(int what) : value(what) {}
  int value;
  node* below = nullptr;
};

class stack {
 public:
  void push(int value) {
    auto* made = new node(value);
    made->below = top_.load(std::memory_order_relaxed);
    while (!top_.compare_exchange_weak(made->below, made, std::memory_order_release,
                                       std::memory_order_relaxed)) {
    }
  }
  bool pop(int& value) {
    treadle::hazard_pointer mine = treadle::make_hazard_pointer();
    node* first = mine.protect(top_);
    while (first != nullptr && !top_.compare_exchange_strong(first, first->below)) {
      first = mine.protect(top_);
    }
    if (first == nullptr) return false;
    value = first->value;
    first->retire();  // others may still look at it
    return true;
  }

 private:
  std::atomic<node*> top_{nullptr};
};

int main() {
  stack numbers;
  treadle::scope threads;
  for (int i = 0; i < 4; ++i) {
    threads.spawn([&numbers, i] {
      for (int turn = 0; turn < 100; ++turn) {
        if (turn % 50 == 0) set_name("thread " + std::to_string(i), std::to_string(turn));
        if (turn % 50 == 0) change_route(80 + i);
        if (limit_now() != 10 || port_now() < 80) std::abort();
        numbers.push(turn);
        treadle::this_thread::yield();
      }
    });
  }
  threads.join();
  int sum = 0;
  for (int value = 0; numbers.pop(value);) sum += value;
  change_route(8080);
  treadle::rcu_barrier();  // all routes that were retired are gone
  std::printf("%d names, port %d, sum %d\n", static_cast<int>(present.read()->names.size()),
              port_now(), sum);
  delete best.load();
}
