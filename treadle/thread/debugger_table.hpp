// Where a debugger finds the threads: addresses and offsets in one table with a name of C's, so
// that tools/gdb/treadle.py needs no debug information, and works on release builds and the shim.
//
// The script reads it word by word: a change of this file is a change there, and of `mark`.
// Rejected: types by their names, which are only in builds with debug information; functions that
// the debugger calls, which a core file and a thread that holds a lock forbid.
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::core {

struct debugger_table {
  char mark[8];
  // Where the records are (record_pool.cpp); the first four are addresses of words.
  const void* carving;     // next record to carve
  const void* slabs;       // list of slabs, the youngest in front; the first word is the next one
  const void* first_used;  // a byte: the first slab has records
  const void* first_slab;  // its records
  std::uint64_t first_slab_bytes;
  std::uint64_t slab_bytes;
  std::uint64_t record_bytes;
  // Offsets in a record: see thread.hpp.
  std::uint64_t resume;
  std::uint64_t body;
  std::uint64_t id;
  std::uint64_t now;  // two bytes: state, reason
  std::uint64_t bound;
  // Offsets in a body: see body.hpp.
  std::uint64_t owner;
  std::uint64_t stack;  // bottom, top
  std::uint64_t name;
  std::uint64_t name_bytes;
  std::uint64_t kernel_id;
  // Tables of texts.
  const char* const* states;
  std::uint64_t state_count;
  const char* const* reasons;
  std::uint64_t reason_count;
};

}  // namespace treadle::core

extern "C" const treadle::core::debugger_table treadle_debugger_table;
