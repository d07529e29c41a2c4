// AArch64: the first instructions of a context, and the switch.
//
//   extern "C" void treadle_context_start();  // not called: jumped to, stack as in make_frame()
//   extern "C" uintptr_t treadle_context_jump(resume_point* here /*x0*/,
//                                             const resume_point* there /*x1*/,
//                                             uintptr_t message /*x2*/);
//
// Saved on the stack that is left: x19-x28 and d8-d15, which AAPCS64 lets a callee keep. x29 and
// the resume address go into the frame, which is below them; x30 is saved with the registers. Not
// saved: FPCR (see switch.hpp). `br` resumes, not `ret`: the return predictor would be wrong.

        .text
        .p2align 4
        .globl  treadle_context_start
        .type   treadle_context_start, %function
treadle_context_start:
        .cfi_startproc
        .cfi_undefined x30              // the oldest frame: debuggers and unwinders stop here
        ldr     x9, [sp], #16
        blr     x9                      // message is in x0 already
        brk     #1
        .cfi_endproc
        .size   treadle_context_start, .-treadle_context_start

        .p2align 4
        .globl  treadle_context_jump
        .type   treadle_context_jump, %function
treadle_context_jump:
        .cfi_startproc
        sub     sp, sp, #160
        .cfi_adjust_cfa_offset 160
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     d8, d9, [sp, #80]
        stp     d10, d11, [sp, #96]
        stp     d12, d13, [sp, #112]
        stp     d14, d15, [sp, #128]
        str     x30, [sp, #144]
        adr     x10, 1f
        stp     x10, x29, [sp, #-16]!   // the frame
        .cfi_adjust_cfa_offset 16
        mov     x9, sp
        stp     x9, x9, [x0, #0]
        mov     x0, x2                  // where the resumed side expects the message
        ldp     x9, x11, [x1, #0]
        ldp     x10, x29, [x11, #0]
        mov     sp, x9
        br      x10
1:      add     sp, sp, #16
        .cfi_adjust_cfa_offset -16
        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     d8, d9, [sp, #80]
        ldp     d10, d11, [sp, #96]
        ldp     d12, d13, [sp, #112]
        ldp     d14, d15, [sp, #128]
        ldr     x30, [sp, #144]
        add     sp, sp, #160
        .cfi_adjust_cfa_offset -160
        br      x30
        .cfi_endproc
        .size   treadle_context_jump, .-treadle_context_jump

        .section .note.GNU-stack,"",%progbits
