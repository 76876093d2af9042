// Entry and exit of traps. A stub for each vector pushes what the processor did not (an error code) and the vector; the
// common part saves the registers as a TrapFrame (arch.hpp), calls vellum_on_trap(TrapFrame&) and restores them.

        .text

        .balign 16
        .globl  vellum_trap_stubs
vellum_trap_stubs:
        .set    vector, 0
        .rept   256
        .balign 16
        // Vectors whose error code the processor pushes [intel/vol3 table 6-1; amd/vol2 table 8-1].
        .if     vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        .else
        pushq   $0
        .endif
        pushq   $vector
        jmp     trap_common
        .set    vector, vector + 1
        .endr

        .balign 16
trap_common:
        pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        // Forget a direction or alignment-check flag that the interrupted code had: the latter would suspend SMAP.
        pushq   $2
        popfq
        // A backtrace goes on at the interrupted code only in the kernel; the frame's alignment is the ABI's.
        movq    %rsp, %rdi
        call    vellum_on_trap

        .globl  vellum_trap_return
vellum_trap_return:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rbp
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbx
        popq    %rax
        addq    $16, %rsp
        iretq

        .section .note.GNU-stack, "", @progbits
