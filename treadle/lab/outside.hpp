// What blocking calls are made of: descriptors, a disk that has something to do, and somebody
// outside who does something later.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <thread>

#include "treadle/lab/lab_context.hpp"
#include "treadle/lab/ticker.hpp"

namespace treadle::lab {

// std::system_error with errno.
[[noreturn]] void fail(const char* what);

class file {
 public:
  explicit file(int number) : number_(number) {
    if (number_ < 0) fail("opening a file for the blocking calls");
  }
  ~file() { ::close(number_); }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

// Does something in a kernel thread outside of every runtime, after a while: the rest of the world.
// Joined before the next one starts, and at the end.
class world {
 public:
  ~world() { rest(); }
  template <class Deed>
  void later(double nanoseconds, Deed deed) {
    rest();
    doing_ = std::thread([=] {
      sleep_in_kernel(nanoseconds);
      deed();
    });
  }
  void rest() {
    if (doing_.joinable()) doing_.join();
  }

 private:
  std::thread doing_;
};

// A lock of flock(2) that somebody else has: two open file descriptions of one file.
class file_lock {
 public:
  file_lock();
  // The other one has it then, and we have not.
  void take_away() const;
  void give_back() const;
  // Blocks the kernel thread until it is ours.
  void wait() const;

 private:
  char path_[32] = "/tmp/treadle-lab-XXXXXX";
  file holder_;
  file waiter_;
};

// A file without a name in /var/tmp: /tmp is often in memory, where fsync has nothing to do.
[[nodiscard]] int make_disk_file();

void write_file(const file& target, std::size_t bytes);
void flush_file(const file& target);
// Written and out of the page cache: the next read goes to the disk.
void make_cold(const file& target);
// From the start, with plain calls.
void read_file(const file& target, std::size_t bytes);

// How much written keeps fsync busy for some 30 ms, and how much to read cold: remembered for the
// run. Bounded: a fast disk is less busy.
std::size_t bytes_for_fsync(lab_context& lab, const file& target);
std::size_t bytes_for_cold_read(lab_context& lab, const file& target);

}  // namespace treadle::lab
