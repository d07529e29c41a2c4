#include "treadle/io/descriptor_table.hpp"

#include <sys/mman.h>

#include <cerrno>

#include "treadle/base/system_call.hpp"

namespace treadle::io {

descriptor_table& descriptor_table::instance() noexcept {
  // Untouched pages of it cost nothing.
  static constinit descriptor_table table;
  return table;
}

descriptor* descriptor_table::add_chunk(int number, int& error) noexcept {
  if (number < 0 || number >= descriptors_max) {
    error = EBADF;
    return nullptr;
  }
  const std::size_t bytes = chunk_descriptors * sizeof(descriptor);
  const base::mapping_result made =
      base::map_memory(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (made.error != 0) {
    error = made.error;
    return nullptr;
  }
  descriptor* chunk = nullptr;
  // acq_rel: publishes the zeroed memory, or takes over somebody else's
  if (chunks_[number / chunk_descriptors].compare_exchange_strong(
          chunk, static_cast<descriptor*>(made.address), base::acq_rel, base::acquire)) {
    chunk = static_cast<descriptor*>(made.address);
  } else {
    base::unmap_memory(made.address, bytes);
  }
  return chunk + number % chunk_descriptors;
}

}  // namespace treadle::io
