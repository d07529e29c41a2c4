// Memory whose every page takes a chosen time to come in, so many at a time: page faults with a
// known T_pf and a known I/O parallelism b.
//
// userfaultfd(2) hands each fault to kernel threads of ours outside of every runtime; each of them
// sleeps as long as a disk would work, then fills the page. A thread that touches a page is blocked
// in the kernel meanwhile, as by a fault on a file, and nothing in user space saw it coming.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

namespace treadle::lab {

class slow_pages {
 public:
  // `servers` faults are served at a time, each in `nanoseconds`. std::system_error where
  // userfaultfd is refused.
  slow_pages(std::size_t pages, unsigned servers, double nanoseconds);
  ~slow_pages();
  slow_pages(const slow_pages&) = delete;
  slow_pages& operator=(const slow_pages&) = delete;

  // Blocks the kernel thread until the page is there.
  void touch(std::size_t page) const;
  // All pages are missing again. With nobody at them.
  void forget();

 private:
  void serve() const;
  void close_all();

  std::size_t bytes_;
  double nanoseconds_;
  std::byte* memory_ = nullptr;
  int faults_ = -1;
  int end_ = -1;
  std::vector<std::thread> servers_;
};

}  // namespace treadle::lab
