// The door between the program's side and the runtime's.
//
// A patched site of libc's jumps to treadle_shim_door with rax = the call's number and rcx = where
// to go on; rcx and r11 are the only registers that a system call may change. The program's stack
// is not touched, not even below its red zone: the call is saved on the thread's side stack.
// On the runtime's side, and on kernel threads that are none of the program's, the call goes
// straight to the kernel. Offsets: seat.hpp and saved_call.hpp.
// The vector registers are saved by hand: libc's code around an inlined system call may keep
// values in them; their upper halves never live across a call of libc's functions. The control
// words the runtime leaves alone: they are saved where the thread may go on elsewhere (calls.cpp).

#define SEAT_PROGRAM %gs:0
#define SEAT_RUNTIME %gs:8
#define SEAT_STACK %gs:16
#define SEAT_SCRATCH %gs:24
#define SEAT_OCCUPANT %gs:32
#define SEAT_SELECTOR %gs:80
#define SEAT_LOOKS_AGAIN %gs:81
#define SEAT_SETS_CONTROL %gs:82
#define SEAT_CALLS %gs:88
#define SEAT_AVOIDED %gs:96
#define WAYS 512
#define WAY_STRAIGHT 1
#define WAY_TRAP 2
#define BUCKET_LOCK 0
#define BUCKET_FIRST 8
#define BUCKET_BYTES_LOG 7
#define BUCKET_SHIFT 54
#define CLONE_VM 0x100
#define CLONE_ARGS_STACK 40
#define CLONE_THREAD 0x10000
#define NR_CLONE 56
#define NR_FUTEX 202
#define NR_VFORK 58
#define FUTEX_WAKE_PRIVATE 129
#define FUTEX_FLAGS 384
#define FUTEX_LOCK_PI 6
#define FUTEX_TRYLOCK_PI 8
#define FUTEX_LOCK_PI2 13
#define SIDES_IN_USE 1
#define NR_CLONE3 435

  .text
  .p2align 6
  .globl treadle_shim_text_begin
  .hidden treadle_shim_text_begin
treadle_shim_text_begin:
  .globl treadle_shim_door
  .hidden treadle_shim_door
  .type treadle_shim_door, @function
treadle_shim_door:
  .cfi_startproc simple
  .cfi_def_cfa %rsp, 0
  .cfi_register %rip, %rcx
  rdfsbase %r11
  cmpq SEAT_PROGRAM, %r11
  jne .Loutside
  cmpl $NR_FUTEX, %eax
  je .Lfutex
  cmpl $NR_CLONE3, %eax
  je .Lclone3
  cmpl $NR_CLONE, %eax
  je .Lclone
  cmpl $NR_VFORK, %eax
  je .Lshares_memory
  jmp .Lserve
// A wake-up where nobody waits, which is what most are (futex_queue.cpp): 0. The
// instruction that changes nothing is a fence, after what the program has done to the word.
.Lfutex:
  cmpl $FUTEX_WAKE_PRIVATE, %esi
  jne .Lserve
// What is no address of the program's, or of no word, has its low bits, turned, or its high ones.
  movq %rdi, %r11
  rorq $2, %r11
  movq %r11, %rax
  shrq $45, %rax
  jnz .Lfutex_serve
  imulq treadle_shim_bucket_factor(%rip), %r11
  shrq $BUCKET_SHIFT, %r11
  shlq $BUCKET_BYTES_LOG, %r11
  leaq treadle_shim_buckets(%rip), %rax
  addq %rax, %r11
  lock orl $0, (%rsp)
  cmpb $0, BUCKET_LOCK(%r11)
  jne .Lfutex_serve
  cmpq $0, BUCKET_FIRST(%r11)
  jne .Lfutex_serve
  cmpl $0, treadle_shim_waiting_outside(%rip)
  jne .Lfutex_serve
  incq SEAT_CALLS
  incq SEAT_AVOIDED
  xorl %eax, %eax
  jmp *%rcx
.Lfutex_serve:
  movl $NR_FUTEX, %eax
  movq SEAT_PROGRAM, %r11
.Lserve:
  .globl treadle_shim_head_end
  .hidden treadle_shim_head_end
treadle_shim_head_end:
  movq %rsp, SEAT_SCRATCH
  movq SEAT_STACK, %rsp
  pushq SEAT_SCRATCH
  pushq %rcx
  pushq %r11
  pushq %r15
  pushq %r14
  pushq %r13
  pushq %r12
  pushq %rbp
  pushq %rbx
  pushq %r9
  pushq %r8
  pushq %r10
  pushq %rdx
  pushq %rsi
  pushq %rdi
  pushq %rax
  pushq SEAT_OCCUPANT
  subq $264, %rsp
  .cfi_def_cfa %rsp, 400
  .cfi_offset %rsp, -8
  .cfi_offset %rip, -16
  .cfi_offset %r15, -32
  .cfi_offset %r14, -40
  .cfi_offset %r13, -48
  .cfi_offset %r12, -56
  .cfi_offset %rbp, -64
  .cfi_offset %rbx, -72
  movups %xmm0, 0(%rsp)
  movups %xmm1, 16(%rsp)
  movups %xmm2, 32(%rsp)
  movups %xmm3, 48(%rsp)
  movups %xmm4, 64(%rsp)
  movups %xmm5, 80(%rsp)
  movups %xmm6, 96(%rsp)
  movups %xmm7, 112(%rsp)
  movups %xmm8, 128(%rsp)
  movups %xmm9, 144(%rsp)
  movups %xmm10, 160(%rsp)
  movups %xmm11, 176(%rsp)
  movups %xmm12, 192(%rsp)
  movups %xmm13, 208(%rsp)
  movups %xmm14, 224(%rsp)
  movups %xmm15, 240(%rsp)
  movq SEAT_RUNTIME, %rax
  wrfsbase %rax
  movb $0, SEAT_SELECTOR
  incq SEAT_CALLS
  movq %rsp, %rdi
  call treadle_shim_serve
  .globl treadle_shim_go_back
  .hidden treadle_shim_go_back
treadle_shim_go_back:
  movq %rsp, %rdi
  call treadle_shim_take_seat
  movq 376(%rsp), %rax
  wrfsbase %rax
  .globl treadle_shim_leaving_begin
  .hidden treadle_shim_leaving_begin
treadle_shim_leaving_begin:
  cmpb $0, SEAT_LOOKS_AGAIN
  jne .Llook_again
// Both are slow, and mostly the kernel thread has them still.
  cmpb $0, SEAT_SETS_CONTROL
  je .Lhas_control
  ldmxcsr 256(%rsp)
  fldcw 260(%rsp)
  movb $0, SEAT_SETS_CONTROL
.Lhas_control:
  movups 0(%rsp), %xmm0
  movups 16(%rsp), %xmm1
  movups 32(%rsp), %xmm2
  movups 48(%rsp), %xmm3
  movups 64(%rsp), %xmm4
  movups 80(%rsp), %xmm5
  movups 96(%rsp), %xmm6
  movups 112(%rsp), %xmm7
  movups 128(%rsp), %xmm8
  movups 144(%rsp), %xmm9
  movups 160(%rsp), %xmm10
  movups 176(%rsp), %xmm11
  movups 192(%rsp), %xmm12
  movups 208(%rsp), %xmm13
  movups 224(%rsp), %xmm14
  movups 240(%rsp), %xmm15
  movq 272(%rsp), %rax
  movq 280(%rsp), %rdi
  movq 288(%rsp), %rsi
  movq 296(%rsp), %rdx
  movq 304(%rsp), %r10
  movq 312(%rsp), %r8
  movq 320(%rsp), %r9
  movq 328(%rsp), %rbx
  movq 336(%rsp), %rbp
  movq 344(%rsp), %r12
  movq 352(%rsp), %r13
  movq 360(%rsp), %r14
  movq 368(%rsp), %r15
  movq 384(%rsp), %rcx
  movq 392(%rsp), %rsp
  .cfi_remember_state
  .cfi_def_cfa %rsp, 0
  .cfi_register %rip, %rcx
  jmp *%rcx
  .cfi_restore_state
.Llook_again:
  movq SEAT_RUNTIME, %rax
  wrfsbase %rax
  jmp treadle_shim_go_back
  .cfi_endproc
  .globl treadle_shim_leaving_end
  .hidden treadle_shim_leaving_end
treadle_shim_leaving_end:
  .size treadle_shim_door, . - treadle_shim_door

// [[noreturn]] void treadle_shim_go(saved_call* where): into the program, from the runtime's side.
  .globl treadle_shim_go
  .hidden treadle_shim_go
  .type treadle_shim_go, @function
treadle_shim_go:
  movq %rdi, %rsp
  jmp treadle_shim_go_back
  .size treadle_shim_go, . - treadle_shim_go

// long treadle_shim_call(long number, a, b, c, d, e, f): a call through the door, for the handler
// of trapped calls. On the program's side.
  .globl treadle_shim_call
  .hidden treadle_shim_call
  .type treadle_shim_call, @function
treadle_shim_call:
  .cfi_startproc
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  movq %rcx, %rdx
  movq %r8, %r10
  movq %r9, %r8
  movq 8(%rsp), %r9
  leaq 1f(%rip), %rcx
  jmp treadle_shim_door
1:
  ret
  .cfi_endproc
  .size treadle_shim_call, . - treadle_shim_call

// A creation that the shim gives back to the kernel, with the way back in r9, which libc's two
// functions that give a child a stack have no use for.
  .globl treadle_shim_once_more
  .hidden treadle_shim_once_more
treadle_shim_once_more:
  movq %r9, %rcx
  jmp treadle_shim_door

// Where a handler of the program's begins (signals.cpp): rbx = the handler, rdi, rsi, rdx its
// arguments, r12 = what end_of_handler needs. Its stack pointer is a multiple of 16.
  .globl treadle_shim_handler
  .hidden treadle_shim_handler
  .type treadle_shim_handler, @function
// A cancelled thread is unwound through it, to the call that the handler interrupted: where that
// goes on, and its registers, lie in the saved call that r12 points at.
#define SAVED(register, low, high) .cfi_escape 0x10, register, 3, 0x7c, low, high
  .cfi_startproc simple
  .cfi_signal_frame
  .cfi_escape 0x0f, 4, 0x7c, 0x88, 0x03, 0x06
  SAVED(16, 0x80, 0x03)
  SAVED(3, 0xc8, 0x02)
  SAVED(6, 0xd0, 0x02)
  SAVED(12, 0xd8, 0x02)
  SAVED(13, 0xe0, 0x02)
  SAVED(14, 0xe8, 0x02)
  SAVED(15, 0xf0, 0x02)
  nop
treadle_shim_handler:
  call *%rbx
  movq %r12, %rdi
  movl $0x40000000, %eax
  leaq 1f(%rip), %rcx
  jmp treadle_shim_door
1:
  ud2
  .cfi_endproc
  .size treadle_shim_handler, . - treadle_shim_handler

// What Syscall User Dispatch lets through on the program's side. The kernel looks at the address
// after the instruction, so the range ends behind the last one.
  .p2align 6
  .globl treadle_shim_allowed_begin
  .hidden treadle_shim_allowed_begin
treadle_shim_allowed_begin:
  nop
  .globl treadle_shim_kernel_call
  .hidden treadle_shim_kernel_call
  .type treadle_shim_kernel_call, @function
treadle_shim_kernel_call:
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  movq %rcx, %rdx
  movq %r8, %r10
  movq %r9, %r8
  movq 8(%rsp), %r9
  syscall
  ret
  .size treadle_shim_kernel_call, . - treadle_shim_kernel_call

// The end of a signal handler that the kernel has called. To the letter as libc's own, and without
// call-frame information: so unwinders know it.
  .p2align 4
  nop
  .globl treadle_shim_restorer
  .hidden treadle_shim_restorer
treadle_shim_restorer:
  movq $15, %rax
  syscall

.Loutside:
  cmpl $NR_CLONE3, %eax
  je .Loutside_clone3
  cmpl $NR_CLONE, %eax
  je .Loutside_clone
  cmpl $NR_VFORK, %eax
  je .Lshares_memory
  cmpl $NR_FUTEX, %eax
  je .Loutside_futex
  jmp .Lstraight

// A call that the kernel answers at once, and of which the runtime need know nothing: from patched
// sites, on either side, on the caller's stack. A signal finds the program here, as it would
// natively (trap.cpp), and a cancelled thread is unwound from here.
  .globl treadle_shim_straight
  .hidden treadle_shim_straight
  .type treadle_shim_straight, @function
treadle_shim_straight:
  .cfi_startproc simple
  .cfi_def_cfa %rsp, 0
  .cfi_register %rip, %rcx
  incq SEAT_CALLS
.Lstraight:
  leaq -128(%rsp), %rsp
  .cfi_def_cfa %rsp, 128
  pushq %rcx
  .cfi_def_cfa %rsp, 136
  .cfi_offset %rip, -136
  syscall
  popq %rcx
  .cfi_def_cfa %rsp, 128
  .cfi_register %rip, %rcx
  leaq 128(%rsp), %rsp
  .cfi_def_cfa %rsp, 0
  jmp *%rcx
  .cfi_endproc
  .size treadle_shim_straight, . - treadle_shim_straight

// libc's syscall(): the number is in rax only now. What has to be seen with all registers goes on
// at libc's own instruction, which is trapped on the program's side; so does all that comes from
// outside: the runtime's own futex calls are about no lock of libc's.
  .globl treadle_shim_any
  .hidden treadle_shim_any
  .type treadle_shim_any, @function
treadle_shim_any:
  .cfi_startproc simple
  .cfi_def_cfa %rsp, 0
  .cfi_register %rip, %rcx
  rdfsbase %r11
  cmpq SEAT_PROGRAM, %r11
  jne .Ltrapped
  cmpq $WAYS, %rax
  jae .Ltrapped
  leaq treadle_shim_ways(%rip), %r11
  movzbl (%r11,%rax), %r11d
  cmpl $WAY_STRAIGHT, %r11d
  je treadle_shim_straight
  cmpl $WAY_TRAP, %r11d
  jne treadle_shim_door
.Ltrapped:
  leaq -2(%rcx), %r11
  jmp *%r11
  .cfi_endproc
  .size treadle_shim_any, . - treadle_shim_any

// A site of libc's of which only rax says what is called.
  .globl treadle_shim_site
  .hidden treadle_shim_site
  .type treadle_shim_site, @function
treadle_shim_site:
  .cfi_startproc simple
  .cfi_def_cfa %rsp, 0
  .cfi_register %rip, %rcx
  rdfsbase %r11
  cmpq SEAT_PROGRAM, %r11
  jne treadle_shim_door
  cmpq $WAYS, %rax
  jae treadle_shim_door
  leaq treadle_shim_ways(%rip), %r11
  movzbl (%r11,%rax), %r11d
  cmpl $WAY_STRAIGHT, %r11d
  je treadle_shim_straight
  jmp treadle_shim_door
  .cfi_endproc
  .globl treadle_shim_straight_end
  .hidden treadle_shim_straight_end
treadle_shim_straight_end:
  .size treadle_shim_site, . - treadle_shim_site

// A lock of libc's that both sides take (futexes.cpp). On the caller's stack; all registers but
// rax, rcx and r11 are kept. Of a child that fork() made only calls that are no cancellation
// points: nobody can be unwound from here.
.Loutside_futex:
  cmpb $SIDES_IN_USE, treadle_shim_two_sides(%rip)
  jb .Lstraight
  je .Lfutex_of_both
  movl %esi, %r11d
  andl $~FUTEX_FLAGS, %r11d
  cmpl $FUTEX_LOCK_PI, %r11d
  je .Lfutex_of_both
  cmpl $FUTEX_LOCK_PI2, %r11d
  je .Lfutex_of_both
  cmpl $FUTEX_TRYLOCK_PI, %r11d
  jne .Lstraight
.Lfutex_of_both:
  leaq -128(%rsp), %rsp
  pushq %rbp
  movq %rsp, %rbp
  andq $-16, %rsp
  pushq %rcx
  pushq %rcx
  pushq %r9
  pushq %r8
  pushq %r10
  pushq %rdx
  pushq %rsi
  pushq %rdi
  subq $256, %rsp
  movups %xmm0, 0(%rsp)
  movups %xmm1, 16(%rsp)
  movups %xmm2, 32(%rsp)
  movups %xmm3, 48(%rsp)
  movups %xmm4, 64(%rsp)
  movups %xmm5, 80(%rsp)
  movups %xmm6, 96(%rsp)
  movups %xmm7, 112(%rsp)
  movups %xmm8, 128(%rsp)
  movups %xmm9, 144(%rsp)
  movups %xmm10, 160(%rsp)
  movups %xmm11, 176(%rsp)
  movups %xmm12, 192(%rsp)
  movups %xmm13, 208(%rsp)
  movups %xmm14, 224(%rsp)
  movups %xmm15, 240(%rsp)
  leaq 256(%rsp), %rdi
  call treadle_shim_outside_futex
  movups 0(%rsp), %xmm0
  movups 16(%rsp), %xmm1
  movups 32(%rsp), %xmm2
  movups 48(%rsp), %xmm3
  movups 64(%rsp), %xmm4
  movups 80(%rsp), %xmm5
  movups 96(%rsp), %xmm6
  movups 112(%rsp), %xmm7
  movups 128(%rsp), %xmm8
  movups 144(%rsp), %xmm9
  movups 160(%rsp), %xmm10
  movups 176(%rsp), %xmm11
  movups 192(%rsp), %xmm12
  movups 208(%rsp), %xmm13
  movups 224(%rsp), %xmm14
  movups 240(%rsp), %xmm15
  addq $256, %rsp
  popq %rdi
  popq %rsi
  popq %rdx
  popq %r10
  popq %r8
  popq %r9
  popq %rcx
  movq %rbp, %rsp
  popq %rbp
  leaq 128(%rsp), %rsp
  jmp *%rcx

.Loutside_clone3:
  testl $CLONE_THREAD, (%rdi)
  jz .Lclone3
  cmpb $0, treadle_shim_armed(%rip)
  jne .Lserve
  jmp .Lchild_has_stack
.Loutside_clone:
  testl $CLONE_THREAD, %edi
  jz .Lclone
  cmpb $0, treadle_shim_armed(%rip)
  jne .Lserve
  jmp .Lchild_has_stack

.Lclone3:
  testl $CLONE_THREAD, (%rdi)
  jnz .Lserve
  testl $CLONE_VM, (%rdi)
  jnz .Lchild_has_stack
  cmpq $0, CLONE_ARGS_STACK(%rdi)
  je .Lfork
  jmp .Lfork_has_stack
.Lclone:
  testl $CLONE_THREAD, %edi
  jnz .Lserve
  testl $CLONE_VM, %edi
  jnz .Lchild_has_stack
  testq %rsi, %rsi
  jz .Lfork
// A child with memory and a stack of its own: of a program thread it is served, outside the way
// back must not lie on the stack.
.Lfork_has_stack:
  rdfsbase %r11
  cmpq SEAT_PROGRAM, %r11
  je .Lserve
// libc's two functions that give a child a stack of its own have no use for r9 here.
.Lchild_has_stack:
  movq %rcx, %r9
  syscall
  testq %rax, %rax
  jz .Lchild_leaves
  jmp *%r9
// vfork() has no arguments, so that rdx and rsi are free; the child uses its parent's stack.
.Lshares_memory:
  movq %rcx, %r9
  syscall
  testq %rax, %rax
  jz .Lchild_leaves
  jmp *%r9
// A child on its parent's memory: no thread of the runtime's any more. A thread that libc makes
// where the runtime is not in use comes here too, with the seat of those outside already.
.Lchild_leaves:
  rdfsbase %r11
  cmpq SEAT_PROGRAM, %r11
  jne 1f
  movq %rdi, %gs:48
  movq %rsi, %gs:56
  movq %rdx, %gs:64
  movq %r10, %gs:72
  rdgsbase %rsi
  addq $40, %rsi
  movl $2, %edi
  xorl %edx, %edx
  movl $8, %r10d
  movl $14, %eax
  syscall
  movq %gs:48, %rdi
  movq %gs:56, %rsi
  movq %gs:64, %rdx
  movq %gs:72, %r10
  leaq treadle_shim_outside(%rip), %r11
  wrgsbase %r11
1:
  xorl %eax, %eax
  jmp *%r9

// A child with memory of its own. On the runtime's side of a program thread it is served; outside
// it needs nothing.
.Lfork:
  rdfsbase %r11
  cmpq SEAT_PROGRAM, %r11
  je .Lserve
  jmp .Lstraight
  .globl treadle_shim_allowed_end
  .hidden treadle_shim_allowed_end
treadle_shim_allowed_end:
  nop

  .section .note.GNU-stack, "", @progbits
