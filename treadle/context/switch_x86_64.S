// x86-64: the first instructions of a context, and the out-of-line switch.
//
//   extern "C" void treadle_context_start();  // not called: jumped to, stack as in make_frame()
//   extern "C" uintptr_t treadle_context_jump(resume_point* here /*rdi*/,
//                                             const resume_point* there /*rsi*/,
//                                             uintptr_t message /*rdx*/);
//
// The switch saves what the System V ABI lets a callee keep: rbx, rbp, r12-r15, on the stack that
// it leaves. MXCSR and the x87 control word are the thread's own business (see switch.hpp).

        .text
        .p2align 4
        .globl  treadle_context_start
        .hidden treadle_context_start
        .type   treadle_context_start, @function
treadle_context_start:
        .cfi_startproc
        .cfi_undefined rip              // the oldest frame: debuggers and unwinders stop here
        popq    %rax
        leaq    1f(%rip), %rcx
        pushq   %rcx
        jmpq    *%rax                   // message is in rdi already; see below why not `call`
        nop                             // unwinders look up the address before the return address
        .globl  treadle_context_end
        .hidden treadle_context_end
treadle_context_end:                    // where jump_to_new() says that the oldest frame returns to
1:      ud2
        .cfi_endproc
        .size   treadle_context_start, .-treadle_context_start

        .p2align 4
        .globl  treadle_context_jump
        .type   treadle_context_jump, @function
treadle_context_jump:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        pushq   %rbp                    // these two are the frame
        .cfi_adjust_cfa_offset 8
        leaq    1f(%rip), %rax
        pushq   %rax
        .cfi_adjust_cfa_offset 8
        movq    %rsp, 0(%rdi)
        movq    %rsp, 8(%rdi)
        movq    %rdx, %rdi              // where the resumed side expects the message
        movq    8(%rsi), %rcx
        movq    8(%rcx), %rbp
        movq    0(%rsi), %rsp
        jmpq    *0(%rcx)
1:      movq    %rdi, %rax
        addq    $16, %rsp
        .cfi_adjust_cfa_offset -16
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        popq    %rcx                    // an indirect jump: `ret` would be mispredicted
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   treadle_context_jump, .-treadle_context_jump

// Where functions with TREADLE_INDIRECT_RETURN end (base/indirect_return.hpp); the name is g++'s.
// rcx is free at a return: it carries neither a result nor a callee-saved value.
        .p2align 4
        .weak   __x86_return_thunk
        .hidden __x86_return_thunk
        .type   __x86_return_thunk, @function
__x86_return_thunk:
        .cfi_startproc
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   __x86_return_thunk, .-__x86_return_thunk

        .section .note.GNU-stack,"",@progbits
