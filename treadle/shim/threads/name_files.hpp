// /proc/self/task/N/comm of a program thread: how libc reads and writes the name of another thread.
//
// The kernel knows no task of that number. Who opens the file gets one in memory with the name in
// it; what is written to it, by write(), changes the name. Descriptors that are doubled, or kept
// over exec, are only the file.
#pragma once

#include "treadle/shim/door/saved_call.hpp"

namespace treadle::shim {

// open, openat. As pass_on_blocking() for all others.
long serve_open(saved_call& call) noexcept;

// Whether any is open; then write and close ask whether the descriptor is one.
bool has_name_files() noexcept;
// True when it was one, and the name is changed.
bool write_name(int descriptor, const void* text, std::size_t bytes) noexcept;
void forget_name_file(int descriptor) noexcept;

}  // namespace treadle::shim
