// What the parts have in common: calls that must work, descriptors with an owner, crowds of
// threads.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <exception>
#include <system_error>
#include <treadle/treadle.hpp>
#include <utility>

#include "tests/soak/part.hpp"

namespace soak {

// No descriptor is left, and for a reason.
inline bool is_drought(int error) {
  return (error == EMFILE || error == ENFILE) && droughts.load(std::memory_order_relaxed) != 0;
}

[[noreturn]] inline void give_up(const char* call, int error, const char* file, int line) {
  if (is_drought(error)) throw excuse();
  violate(file, line, call, error);
}

// The result of a call that has no reason to fail.
template <class Number>
Number must(Number result, const char* call, const char* file, int line) {
  if (result < 0) give_up(call, treadle::io::own_errno(), file, line);
  return result;
}
#define SOAK_MUST(call) ::soak::must((call), #call, __FILE__, __LINE__)

class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~descriptor() { close(); }
  int get() const { return number_; }
  void close() {
    if (number_ >= 0) treadle::io::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

struct pair_of_ends {
  descriptor reading;
  descriptor writing;
};
pair_of_ends make_pipe();
pair_of_ends make_socket_pair();
// Below /var/tmp, without a name: /tmp is often in memory.
descriptor make_file();

// Threads of a turn. Excuses are kept until join(); anything else that one throws is a violation.
class crowd {
 public:
  crowd() = default;
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;
  ~crowd() { wait(); }

  template <class F>
  void add(F function) {
    add({}, std::move(function));
  }
  template <class F>
  void add(const treadle::thread_attributes& like, F function) {
    all_.emplace_back(like, [this, body = std::move(function)]() mutable { guard(body); });
  }
  // Throws the excuse, if there was one.
  void join() {
    wait();
    if (excused_.load(std::memory_order_relaxed)) throw excuse();
  }

 private:
  template <class F>
  void guard(F& body) {
    try {
      body();
    } catch (const excuse&) {
      excused_.store(true, std::memory_order_relaxed);
    } catch (const std::system_error& error) {
      if (!is_drought(error.code().value())) violate(__FILE__, __LINE__, error.what(), 0);
      excused_.store(true, std::memory_order_relaxed);
    } catch (const std::exception& error) {
      violate(__FILE__, __LINE__, error.what(), 0);
    }
  }
  void wait() {
    for (treadle::thread& one : all_) {
      if (one.joinable()) one.join();
    }
  }

  std::deque<treadle::thread> all_;
  std::atomic<bool> excused_{false};
};

// Some microseconds.
inline std::chrono::microseconds microseconds(unsigned count) {
  return std::chrono::microseconds(count);
}

// What byte number `place` of a stream or file is.
inline char pattern(unsigned seed, std::size_t place) {
  return static_cast<char>((place * 131 + seed * 17 + (place >> 8)) & 0xff);
}

}  // namespace soak
