// Priorities, the end of a thread, and looking at all of them: docs/lifecycle.md shows these parts.
#include <cstdio>
#include <fstream>
#include <string>
#include <treadle/channel.hpp>
#include <treadle/event.hpp>
#include <treadle/lifecycle.hpp>
#include <treadle/priority_inheritance_mutex.hpp>
#include <treadle/thread.hpp>

namespace {

// Notes of a running program: written in the background, read when somebody asks.
class journal {
 public:
  void add(const std::string& line) {
    const treadle::lock_guard lock(guard_);
    text_ += line;
  }
  std::string text() const {
    const treadle::lock_guard lock(guard_);
    return text_;
  }

 private:
  // Who asks lends its priority to who writes, for as long as that is inside.
  mutable treadle::priority_inheritance_mutex guard_;
  std::string text_;  // guarded by guard_
};

std::string asked_urgently() {
  journal notes;
  treadle::thread writer({.name = "writer", .priority = treadle::priority::background}, [&notes] {
    for (int i = 0; i < 100; ++i) notes.add(".");
  });
  std::string seen;
  treadle::thread reader({.name = "reader", .priority = treadle::priority::urgent},
                         [&] { seen = notes.text(); });
  reader.join();
  writer.join();
  return notes.text().substr(0, seen.size()) == seen ? "in order" : "torn";
}

// Ends when it is asked to, wherever it waits, and leaves nothing behind.
void serve(treadle::channel<std::string>& requests, int& served) {
  treadle::this_thread::at_exit([&served] { std::printf("served %d\n", served); });
  for (;;) {
    const auto one = treadle::cancellable(
        [&](const treadle::wait_limit& limit) { return requests.receive(limit); });
    ++served;
  }
}

int cancelled_after_three() {
  treadle::channel<std::string> requests;
  int served = 0;
  treadle::jthread server([&] { serve(requests, served); });
  for (const char* each : {"one", "two", "three"}) requests.send(each);
  server.request_stop();  // its destructor would do the same
  server.join();
  return served;
}

// What every thread does just now, on standard error.
void say_what_they_do() { treadle::dump_threads(2); }

}  // namespace

int main() {
  const std::string order = asked_urgently();
  const int served = cancelled_after_three();
  say_what_they_do();
  std::printf("%s, %d\n", order.c_str(), served);
  return order == "in order" && served == 3 ? 0 : 1;
}
