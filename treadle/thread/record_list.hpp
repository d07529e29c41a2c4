// A look at all thread records, for lists and dumps.
//
// The threads run on meanwhile: what is seen is of no one moment, and may be over. Records are
// never unmapped, and neither are the stacks on which names are.
#pragma once

#include <cstdint>

#include "treadle/thread/body.hpp"
#include "treadle/thread/thread.hpp"

namespace treadle::core {

struct record_view {
  std::uint32_t id;
  situation now;
  thread_level level;
  char name[name_bytes];  // empty when it has none
};

// Calls see(context, view) for every record that is some thread's. Takes no lock meanwhile; any
// kernel thread. Nothing here allocates.
void list_records(void (*see)(void* context, const record_view& view), void* context);

// Of a record whose body is not on a stack of the runtime's (foreign.cpp).
bool is_foreign(const scheduler_port* scheduler) noexcept;

}  // namespace treadle::core
