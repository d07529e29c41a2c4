// Where libc makes system calls, in forms that can be patched.
//
// Each form is read backwards from "0f 05", syscall. Five bytes of a site become a jump to a stub,
// which does what stood there, and what stood between them and the system call:
//   plain    mov $number, %eax; [one of the instructions below;] syscall
//   loaded   mov $INT_MAX, %edx; syscall                    a futex's wake-up of all
//   copied   mov %r8d to %r15d, %eax; syscall              5 bytes: the jump covers the syscall
//   zeroed   xor %eax, %eax; syscall; cmp $-4096, %rax      that is read(); back to cmp $.., %eax
//   any      mov 8(%rsp), %r9; syscall                      libc's syscall()
// In the first two and the last, code that jumps between finds what it expects: the system call is
// still there, and is trapped. The others are left out where anything in libc's text may be a jump
// to between, which is looked for without decoding: too careful, never too bold.
// In between may stand what is the same at any address and touches neither rax, rcx nor r11.
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle::shim {

struct text_range {
  std::uint8_t* begin = nullptr;
  std::uint8_t* end = nullptr;
};

enum class site_form : std::uint8_t { plain, loaded, copied, zeroed, any };

struct call_site {
  static constexpr std::uint32_t not_known = ~std::uint32_t{0};

  std::uint8_t* at = nullptr;    // the first byte of the jump
  std::uint8_t* back = nullptr;  // where the program goes on
  std::uint32_t number = not_known;
  site_form form = site_form::plain;
  std::uint8_t kept_bytes = 0;  // what the stub does first, from `at` on

  // Whether the jump covers the system call itself.
  bool covers_call() const noexcept {
    return form == site_form::copied || form == site_form::zeroed;
  }
};

// How many, at most `room`. libc's text can be read.
std::size_t find_call_sites(const text_range& text, call_site* out, std::size_t room) noexcept;

// Leaves out sites that cannot be patched for a jump to between. How many are left.
std::size_t drop_jumped_into(const text_range& text, call_site* sites, std::size_t count) noexcept;

}  // namespace treadle::shim
