// Entry and exit of traps. A stub for each vector pushes what the processor did not (an error code) and the vector; the
// common part saves the registers as a TrapFrame (arch.hpp), calls vellum_on_trap(TrapFrame&) and restores them.

        .set    kKernelData, 0x10

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
        pushl   $0
        .endif
        pushl   $vector
        jmp     trap_common
        .set    vector, vector + 1
        .endr

        .balign 16
trap_common:
        pushal
        pushl   %ds
        pushl   %es
        pushl   %fs
        pushl   %gs
        movl    $kKernelData, %eax
        movl    %eax, %ds
        movl    %eax, %es
        // Forget a direction or alignment-check flag that the interrupted code had: the latter would suspend SMAP.
        pushl   $2
        popfl
        // The frame stays at its place; below it the stack is aligned as the ABI wants it at a call.
        movl    %esp, %ebx
        andl    $~15, %esp
        subl    $12, %esp
        pushl   %ebx
        call    vellum_on_trap
        movl    %ebx, %esp

        .globl  vellum_trap_return
vellum_trap_return:
        popl    %gs
        popl    %fs
        popl    %es
        popl    %ds
        popal
        addl    $8, %esp
        iretl

        .section .note.GNU-stack, "", @progbits
