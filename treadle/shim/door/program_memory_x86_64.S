// The instructions that touch memory which the program has named and which may not be there
// (program_memory.hpp). Where one of them faults, signals/faults.cpp lets the thread go on at the
// label behind its part. No stack is used, so that each label can return to the caller.

  .text
  .p2align 4
// std::size_t treadle_shim_copy(void* to, const void* from, std::size_t bytes): how many are left.
  .globl treadle_shim_copy
  .hidden treadle_shim_copy
  .type treadle_shim_copy, @function
treadle_shim_copy:
  .cfi_startproc
1:
  cmpq $8, %rdx
  jb treadle_shim_copy_bytes
  movq (%rsi), %rax
  movq %rax, (%rdi)
  addq $8, %rsi
  addq $8, %rdi
  subq $8, %rdx
  jmp 1b
// From here also what is left of eight bytes of which only some are there.
  .globl treadle_shim_copy_bytes
  .hidden treadle_shim_copy_bytes
treadle_shim_copy_bytes:
  testq %rdx, %rdx
  jz treadle_shim_copy_end
  movb (%rsi), %al
  movb %al, (%rdi)
  incq %rsi
  incq %rdi
  decq %rdx
  jmp treadle_shim_copy_bytes
  .globl treadle_shim_copy_end
  .hidden treadle_shim_copy_end
treadle_shim_copy_end:
  movq %rdx, %rax
  ret
  .cfi_endproc
  .size treadle_shim_copy, . - treadle_shim_copy

// int treadle_shim_load(const std::uint32_t* from, std::uint32_t* to): 0, or -1. On this CPU every
// load is one of sequential consistency.
  .globl treadle_shim_load
  .hidden treadle_shim_load
  .type treadle_shim_load, @function
treadle_shim_load:
  .cfi_startproc
  movl (%rdi), %eax
  movl %eax, (%rsi)
  xorl %eax, %eax
  ret
  .cfi_endproc
  .size treadle_shim_load, . - treadle_shim_load

// int treadle_shim_exchange(std::uint32_t* word, std::uint32_t* expected, std::uint32_t wanted): 1
// when it has been changed, 0 with what was there instead, or -1. A full fence.
  .globl treadle_shim_exchange
  .hidden treadle_shim_exchange
  .type treadle_shim_exchange, @function
treadle_shim_exchange:
  .cfi_startproc
  movl (%rsi), %eax
  lock cmpxchgl %edx, (%rdi)
  jne 1f
  movl $1, %eax
  ret
1:
  movl %eax, (%rsi)
  xorl %eax, %eax
  ret
  .globl treadle_shim_words_end
  .hidden treadle_shim_words_end
treadle_shim_words_end:
  movl $-1, %eax
  ret
  .cfi_endproc
  .size treadle_shim_exchange, . - treadle_shim_exchange

  .section .note.GNU-stack, "", @progbits
