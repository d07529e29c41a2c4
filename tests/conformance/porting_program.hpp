// An ordinary threaded program, written against a namespace `thr`. porting_test.cpp includes this
// text twice, with thr = std and thr = treadle: no include guard, no includes, on purpose.

inline std::string pipeline() {
  thr::mutex m;
  thr::condition_variable filled;
  thr::condition_variable emptied;
  std::deque<int> buffer;
  bool closed = false;
  long sum = 0;
  thr::thread producer([&] {
    for (int i = 1; i <= 500; ++i) {
      thr::unique_lock<thr::mutex> hold(m);
      emptied.wait(hold, [&] { return buffer.size() < 8; });
      buffer.push_back(i);
      filled.notify_one();
    }
    const thr::lock_guard<thr::mutex> hold(m);
    closed = true;
    filled.notify_all();
  });
  std::vector<thr::thread> consumers;
  for (int c = 0; c < 3; ++c) {
    consumers.emplace_back([&] {
      for (;;) {
        thr::unique_lock<thr::mutex> hold(m);
        if (!filled.wait_for(hold, std::chrono::hours(1),
                             [&] { return closed || !buffer.empty(); })) {
          return;
        }
        if (buffer.empty()) return;
        sum += buffer.front();
        buffer.pop_front();
        emptied.notify_one();
      }
    });
  }
  producer.join();
  for (thr::thread& t : consumers) t.join();
  return "pipeline " + std::to_string(sum);
}

inline std::string rendezvous() {
  constexpr int count = 6;
  thr::latch ready(count);
  thr::counting_semaphore<count> permits(2);
  thr::binary_semaphore done(0);
  thr::once_flag first;
  thr::recursive_mutex nested;
  int initialised = 0;
  int visits = 0;
  {
    std::vector<thr::jthread> crew;
    for (int i = 0; i < count; ++i) {
      crew.emplace_back([&, i] {
        thr::call_once(first, [&] { ++initialised; });
        ready.arrive_and_wait();
        permits.acquire();
        {
          const thr::scoped_lock<thr::recursive_mutex> outer(nested);
          const thr::lock_guard<thr::recursive_mutex> inner(nested);
          if (++visits == count) done.release();
        }
        thr::this_thread::yield();
        permits.release();
        thr::this_thread::sleep_for(std::chrono::microseconds(i));
      });
    }
    done.acquire();
  }
  return "rendezvous " + std::to_string(initialised) + " " + std::to_string(visits);
}

inline std::string stopping() {
  thr::mutex m;
  thr::condition_variable_any changed;
  int stops = 0;
  int callbacks = 0;
  {
    thr::jthread waiter([&](const thr::stop_token& token) {
      const thr::stop_callback callback(token, [&] { ++callbacks; });
      thr::unique_lock<thr::mutex> hold(m);
      if (!changed.wait(hold, token, [] { return false; })) ++stops;
    });
    thr::stop_source source = waiter.get_stop_source();
    source.request_stop();
  }
  return "stopping " + std::to_string(stops) + " " + std::to_string(callbacks);
}

inline std::string errors() {
  std::string text = "errors";
  try {
    thr::thread none;
    none.join();
  } catch (const std::system_error& error) {
    text += error.code() == std::errc::invalid_argument ? " invalid" : " ?";
  }
  thr::timed_mutex held;
  held.lock();
  bool got = true;
  thr::thread t([&] { got = held.try_lock_for(std::chrono::milliseconds(1)); });
  t.join();
  held.unlock();
  text += got ? " got" : " timeout";
  thr::mutex a;
  thr::mutex b;
  thr::lock(a, b);
  const thr::unique_lock<thr::mutex> first(a, thr::adopt_lock);
  thr::unique_lock<thr::mutex> second(b, thr::adopt_lock);
  second.unlock();
  text += thr::this_thread::get_id() == thr::thread::id() ? " nobody" : " somebody";
  return text;
}

inline std::string program() {
  return pipeline() + "; " + rendezvous() + "; " + stopping() + "; " + errors();
}
