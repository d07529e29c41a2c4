// What clone and clone3 are asked for.
#pragma once

#include <linux/sched.h>
#include <sys/syscall.h>

#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"
#include "treadle/shim/program_memory.hpp"

namespace treadle::shim {

struct wanted_task {
  std::uint64_t flags;
  std::uint64_t stack_pointer;  // 0: the caller's
  std::uint64_t thread_pointer;
  std::uint32_t* parent_id;
  std::uint32_t* child_id;
};

// False where there is nothing to read.
[[nodiscard]] inline bool read_task(const saved_call& call, wanted_task& out) noexcept {
  const std::uint64_t* arguments = call.arguments;
  if (call.number != SYS_clone3) {
    out = {arguments[0], arguments[1], arguments[4], reinterpret_cast<std::uint32_t*>(arguments[2]),
           reinterpret_cast<std::uint32_t*>(arguments[3])};
    return true;
  }
  clone_args asked{};
  if (!copy_all(&asked, reinterpret_cast<const void*>(arguments[0]), CLONE_ARGS_SIZE_VER0)) {
    return false;
  }
  out = {asked.flags, asked.stack != 0 ? asked.stack + asked.stack_size : 0, asked.tls,
         reinterpret_cast<std::uint32_t*>(asked.parent_tid),
         reinterpret_cast<std::uint32_t*>(asked.child_tid)};
  return true;
}

}  // namespace treadle::shim
