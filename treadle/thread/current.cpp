#include "treadle/thread/current.hpp"

extern "C" {
__thread treadle::core::current_state treadle_current = {nullptr, nullptr, {}};
}

#if !defined(__x86_64__)
namespace treadle::core {

[[gnu::noinline]] thread* current_thread_or_null() noexcept { return treadle_current.self; }
[[gnu::noinline]] worker* current_worker_or_null() noexcept { return treadle_current.on; }
[[gnu::noinline]] void set_current_thread(thread* self) noexcept { treadle_current.self = self; }
[[gnu::noinline]] void set_current_worker(worker* on) noexcept { treadle_current.on = on; }
[[gnu::noinline]] std::uint64_t read_sections_here() noexcept {
  return treadle_current.reading.word.load(base::relaxed);  // relaxed: our own
}

}  // namespace treadle::core
#endif
