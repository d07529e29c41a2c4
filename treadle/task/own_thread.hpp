// Threads of the runtime that work for its tasks: nobody joins them.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "treadle/sched/join.hpp"

namespace treadle::tasks {

// Has a new thread of `home` call Run, a member of `owner` or a function of it. 0 or an errno; then
// there is no thread.
template <auto Run, class Owner>
[[nodiscard]] int start_own_thread(core::scheduler_port& home, std::string_view name,
                                   Owner& owner) noexcept {
  core::creation wanted;
  wanted.name = name;
  wanted.bind_now = true;
  core::thread* made = nullptr;
  if (const int error = home.create(wanted, made)) return error;
  made->body->entry = [](void* memory) noexcept {
    std::invoke(Run, **static_cast<Owner**>(memory));
  };
  made->body->inline_closure.words[0] = reinterpret_cast<std::uintptr_t>(&owner);
  if (const int error = home.start(*made)) {
    home.discard(*made);
    return error;
  }
  core::detach(*made);
  return 0;
}

}  // namespace treadle::tasks
