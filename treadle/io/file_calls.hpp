// Who makes the calls on files that would block: an option of the runtime (TREADLE_IO).
#pragma once

namespace treadle::io {

enum class file_calls {
  automatic,  // io_uring where the kernel allows it, else the pool
  uring,      // the same, and one line on stderr if the kernel refuses it
  pool,       // the blocking-call pool only
};

}  // namespace treadle::io
