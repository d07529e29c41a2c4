// Where the runtime's own descriptors live: at high numbers.
//
// A thread may be on its way into a call upon a descriptor that another one closes. When the number
// were given to an eventfd of ours the next moment, the call would find a good descriptor and wait
// on it for ever, where it should fail with EBADF. A program that opens descriptors while others
// use numbers it has closed has that race itself; we must not make it for a program that does not.
#pragma once

namespace treadle::io {

// Moves an open descriptor that only the caller knows to a high number, and returns that; the same
// number where there is no room above. Who has begun to wait for the old number meanwhile gets
// EBADF. Any kernel thread; errno is kept.
[[nodiscard]] int move_high(int number) noexcept;

}  // namespace treadle::io
