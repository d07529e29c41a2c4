// What clone and clone3 are asked for.
#pragma once

#include <linux/sched.h>
#include <sys/syscall.h>

#include <cstdint>

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

struct wanted_task {
  std::uint64_t flags;
  std::uint64_t stack_pointer;  // 0: the caller's
  std::uint64_t thread_pointer;
  std::uint32_t* parent_id;
  std::uint32_t* child_id;
};

inline wanted_task read_task(const saved_call& call) noexcept {
  const std::uint64_t* arguments = call.arguments;
  if (call.number != SYS_clone3) {
    return {arguments[0], arguments[1], arguments[4],
            reinterpret_cast<std::uint32_t*>(arguments[2]),
            reinterpret_cast<std::uint32_t*>(arguments[3])};
  }
  const auto& asked = *reinterpret_cast<const clone_args*>(arguments[0]);
  return {asked.flags, asked.stack != 0 ? asked.stack + asked.stack_size : 0, asked.tls,
          reinterpret_cast<std::uint32_t*>(asked.parent_tid),
          reinterpret_cast<std::uint32_t*>(asked.child_tid)};
}

}  // namespace treadle::shim
