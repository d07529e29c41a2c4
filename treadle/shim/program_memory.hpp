// Memory that the program has named in a call, when it may have named what is not there: the kernel
// says EFAULT then, and so must we.
//
// The accesses are ordinary instructions of a few functions; a fault in one of these ends it, and
// costs a signal (signals/faults.hpp). One that succeeds costs nothing more than a call.
// Rejected: process_vm_readv() and process_vm_writev(), a system call for each look, which seccomp
// filters of containers forbid.
// Runtime's side, while the runtime is in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "treadle/shim/door/seat.hpp"

extern "C" {
#pragma GCC visibility push(hidden)
std::size_t treadle_shim_copy(void* to, const void* from, std::size_t bytes) noexcept;
int treadle_shim_load(const std::uint32_t* from, std::uint32_t* to) noexcept;
int treadle_shim_exchange(std::uint32_t* word, std::uint32_t* expected,
                          std::uint32_t wanted) noexcept;
#pragma GCC visibility pop
}

namespace treadle::shim {

// A worker's first seat lets faults in. Who has waited may be on a worker that has none yet.
inline void let_faults_in() noexcept { static_cast<void>(own_seat()); }

// How many bytes could be copied; fewer where the rest is not there.
inline std::size_t copy_some(void* to, const void* from, std::size_t bytes) noexcept {
  let_faults_in();
  return bytes - treadle_shim_copy(to, from, bytes);
}

[[nodiscard]] inline bool copy_all(void* to, const void* from, std::size_t bytes) noexcept {
  return copy_some(to, from, bytes) == bytes;
}

// False where it is not there, whole.
template <class Value>
[[nodiscard]] bool read_program(const void* from, Value& out) noexcept {
  static_assert(std::is_trivially_copyable_v<Value>);
  return copy_all(&out, from, sizeof(out));
}
template <class Value>
[[nodiscard]] bool write_program(void* to, const Value& value) noexcept {
  static_assert(std::is_trivially_copyable_v<Value>);
  return copy_all(to, &value, sizeof(value));
}
// A call's argument that names it.
template <class Value>
[[nodiscard]] bool read_program(std::uint64_t from, Value& out) noexcept {
  return read_program(reinterpret_cast<const void*>(from), out);
}
template <class Value>
[[nodiscard]] bool write_program(std::uint64_t to, const Value& value) noexcept {
  return write_program(reinterpret_cast<void*>(to), value);
}

// A futex's word, as the kernel reads it.
[[nodiscard]] inline bool load_word(const std::uint32_t* word, std::uint32_t& out) noexcept {
  let_faults_in();
  return treadle_shim_load(word, &out) == 0;
}

enum class [[nodiscard]] exchanged{yes, no, not_there};
// With what was there in `expected` where it was something else. Sequentially consistent.
inline exchanged exchange_word(std::uint32_t* word, std::uint32_t& expected,
                               std::uint32_t wanted) noexcept {
  let_faults_in();
  const int how = treadle_shim_exchange(word, &expected, wanted);
  return how > 0 ? exchanged::yes : how == 0 ? exchanged::no : exchanged::not_there;
}

}  // namespace treadle::shim
