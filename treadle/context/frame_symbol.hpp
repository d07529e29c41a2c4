// The name of the function that holds a code address, found without locks or allocation, so that
// a signal handler may ask in any state of the process.
//
// The module comes from _dl_find_object() (glibc 2.35; lock-free by its documentation), the name
// from the symbol table of the module's file, read with open() and pread(), which POSIX lists as
// async-signal-safe. Names of plain functions, members and namespaces are shown demangled, others
// as they are in the file (c++filt reads them).
//
// Rejected: dladdr() (takes the loader's lock, which the faulting thread's neighbour may hold for
// ever, and sees exported functions only), __cxa_demangle() (allocates), backtrace_symbols_fd()
// (loads a library at first use).
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::context {

struct frame_symbol {
  char function[192];     // "" when no symbol covers the address
  char module[64];        // file name without its folders
  std::uintptr_t offset;  // address as the module's file has it: what addr2line -e module takes
};

// False when no module is known to hold the address. Async-signal-safe.
[[nodiscard]] bool find_symbol(const void* code, frame_symbol* out) noexcept;

// Writes "space::function()" for a name that find_symbol() can demangle, else the name itself.
// Always ends with a zero byte. Async-signal-safe.
void write_readable_name(const char* symbol, char* out, std::size_t size) noexcept;

}  // namespace treadle::context
