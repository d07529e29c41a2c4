// What `treadle run --stats FILE` writes at the end: one "name value" a line.
#pragma once

namespace treadle::shim {

// To the file that was asked for, if any. With system calls only.
void write_stats() noexcept;

}  // namespace treadle::shim
