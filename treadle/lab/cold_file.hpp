// Pages of a file that are not in memory: page faults as a program meets them, of unknown length.
#pragma once

#include <cstddef>

namespace treadle::lab {

class cold_file {
 public:
  // A file of its own below /var/tmp, without a name. std::system_error when that cannot be had.
  explicit cold_file(std::size_t pages);
  ~cold_file();
  cold_file(const cold_file&) = delete;
  cold_file& operator=(const cold_file&) = delete;

  void touch(std::size_t page) const;
  // Takes all pages out of memory, as far as the kernel follows. With nobody at them.
  void forget();

 private:
  void map();

  std::size_t bytes_;
  int number_ = -1;
  std::byte* memory_ = nullptr;
};

}  // namespace treadle::lab
