// The shim's own calls of libc go to libc, whatever the program has put in front of it.
//
// A sanitizer's runtime, or another malloc, takes the names of libc's functions, and the dynamic
// linker binds ours to them like everybody's. Their state lies in the TLS of the program's threads
// and belongs to threads that they have seen begin, while the runtime's side runs on kernel
// threads and under a thread pointer that they know nothing of. So our imports are bound once more.
// Rejected: to look each function up by dlsym() (sanitizers take that name, too, and libc itself
// is not initialised yet).
#pragma once

namespace treadle::shim {

// Before anything else of the shim's. Does nothing where all is as it should be.
void bind_imports_to_libc() noexcept;

}  // namespace treadle::shim
