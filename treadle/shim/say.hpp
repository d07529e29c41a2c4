// One line on descriptor 2, without libc: "treadle: ...".
#pragma once

namespace treadle::shim {

void say(const char* text, const char* more = "") noexcept;

// The same, with a number behind it when it is not 0; then the process ends with status 2: nothing
// else would be the program's native result.
[[noreturn]] void fail(const char* text, long number) noexcept;

}  // namespace treadle::shim
