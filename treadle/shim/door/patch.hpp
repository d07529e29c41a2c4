// Rewriting libc's system calls, in memory, so that they come through the door.
//
// What a site looks like: call_sites.hpp. It becomes a jump to a stub of our own, which does what
// stood there and goes to the door with the way back. What has another form is left alone: Syscall
// User Dispatch traps it, which is slower and does the same.
// Text is writable only while nothing runs in it, and never writable and executable at once. Call
// while the process has one kernel thread.
#pragma once

#include <cstdint>

namespace treadle::shim {

// The sites that make threads and children. Null, or why not.
const char* patch_first_sites() noexcept;
// All others. Null, or why not.
const char* patch_all_sites() noexcept;

int patched_sites() noexcept;

// Whether the address lies in libc's text. After the first sites have been patched.
bool is_in_libc(std::uint64_t address) noexcept;

}  // namespace treadle::shim
