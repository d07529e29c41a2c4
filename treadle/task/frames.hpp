// The memory of tasks' frames: blocks of the worker that the caller runs on.
#pragma once

#include <cstddef>
#include <new>

#include "treadle/sched/worker.hpp"

namespace treadle::tasks {

// std::bad_alloc when there is none.
inline void* allocate_frame(std::size_t bytes) {
  if (bytes > core::block_cache::bytes_max) [[unlikely]]
    return ::operator new(bytes);
  void* const made = core::block_pool::allocate(core::current_worker().blocks, bytes);
  if (made == nullptr) [[unlikely]]
    throw std::bad_alloc();
  return made;
}

inline void free_frame(void* frame, std::size_t bytes) noexcept {
  if (bytes > core::block_cache::bytes_max) [[unlikely]]
    return ::operator delete(frame);
  core::block_pool::free(core::current_worker().blocks, frame, bytes);
}

}  // namespace treadle::tasks
