// Entry and exit of the kernel: traps, interrupts and system calls. Each way in saves the registers as a TrapFrame
// (arch.hpp) and calls C++ with it: vellum_on_trap or vellum_on_system_call. Each way back to a program goes through
// vellum_user_return, which first does what asks for attention (PerCpu::attention).
//
// In the kernel GS is based at this CPU's PerCpu; the program's base waits where SWAPGS finds it.

        .set    kStackTop, 8            // offsets in PerCpu, checked in per_cpu.hpp
        .set    kUserStack, 16
        .set    kAttention, 24

        .set    kFrameR11, 4 * 8        // offsets in TrapFrame
        .set    kFrameRcx, 12 * 8
        .set    kFrameRip, 17 * 8
        .set    kFrameCs, 18 * 8
        .set    kFrameFlags, 19 * 8
        .set    kFrameRsp, 20 * 8

        .set    kUserData, 0x23
        .set    kUserCode, 0x2B
        .set    kSystemCall, 256        // in place of a vector
        .set    kGsBase, 0xC0000101     // IA32_GS_BASE

        .macro  SAVE_REGISTERS
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
        .endm

        .macro  RESTORE_REGISTERS
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
        .endm

        .text
        .weak   vellum_on_system_call, vellum_on_attention

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
        // Those that may come between the program's GS and the kernel's, each on a stack of its own.
        .if     vector == 1 || vector == 2 || vector == 8 || vector == 18
        jmp     careful_trap
        .else
        jmp     trap_common
        .endif
        .set    vector, vector + 1
        .endr

        .balign 16
trap_common:
        testb   $3, 24(%rsp)
        jz      save_from_user
        swapgs
save_from_user:
        SAVE_REGISTERS
        // Forget a direction or alignment-check flag that the interrupted code had: the latter would suspend SMAP.
        pushq   $2
        popfq
        movq    %rsp, %rdi
        call    vellum_on_trap
        testb   $3, kFrameCs(%rsp)
        jz      kernel_return

        .globl  vellum_user_return
vellum_user_return:
        cmpb    $0, %gs:kAttention
        jne     attention
        RESTORE_REGISTERS
        addq    $16, %rsp
        swapgs
        iretq
attention:
        movq    %rsp, %rdi
        call    vellum_on_attention
        jmp     vellum_user_return

kernel_return:
        RESTORE_REGISTERS
        addq    $16, %rsp
        iretq

        // Whose GS is loaded is told by its base: the kernel's is an address of the kernel's image. From user mode these
        // traps go on like others, on the thread's own stack, because their handlers may sleep.
        .balign 16
careful_trap:
        testb   $3, 24(%rsp)
        jnz     careful_from_user
        SAVE_REGISTERS
        pushq   $2
        popfq
        movl    $kGsBase, %ecx
        rdmsr
        xorl    %ebx, %ebx
        cmpl    $0xFFFFFFFF, %edx
        je      1f
        movl    $1, %ebx
        swapgs
1:      movq    %rsp, %rdi
        call    vellum_on_trap
        testl   %ebx, %ebx
        jz      kernel_return
        swapgs
        jmp     kernel_return
careful_from_user:
        swapgs
        pushq   %rdx
        pushq   %rax
        movq    %gs:kStackTop, %rdx
        subq    $56, %rdx
        // The vector, the error code and what the processor pushed, to the thread's own stack.
        .set    word, 0
        .rept   7
        movq    16 + word * 8(%rsp), %rax
        movq    %rax, word * 8(%rdx)
        .set    word, word + 1
        .endr
        popq    %rax
        xchgq   %rdx, 0(%rsp)           // the program's rdx for the stack to go on with
        popq    %rsp
        jmp     save_from_user

        // SYSCALL left the program's rip in rcx and its flags in r11, and masked the flags [intel/vol2 SYSCALL].
        .balign 16
        .globl  vellum_system_call_entry
vellum_system_call_entry:
        swapgs
        movq    %rsp, %gs:kUserStack
        movq    %gs:kStackTop, %rsp
        pushq   $kUserData
        pushq   %gs:kUserStack
        pushq   %r11
        pushq   $kUserCode
        pushq   %rcx
        pushq   %rax
        pushq   $kSystemCall
        SAVE_REGISTERS
        movq    %rsp, %rdi
        call    vellum_on_system_call
        cmpb    $0, %gs:kAttention
        jne     attention
        // SYSRET where it gives the program what the frame says: the two registers that it takes still hold what they
        // must, and the address is canonical, for otherwise it would fault with the program's stack in the kernel.
        movq    kFrameRcx(%rsp), %rcx
        cmpq    kFrameRip(%rsp), %rcx
        jne     vellum_user_return
        movq    kFrameR11(%rsp), %r11
        cmpq    kFrameFlags(%rsp), %r11
        jne     vellum_user_return
        movq    %rcx, %rdx
        shlq    $16, %rdx
        sarq    $16, %rdx
        cmpq    %rcx, %rdx
        jne     vellum_user_return
        RESTORE_REGISTERS
        movq    40(%rsp), %rsp          // past vector, error code, rip, cs and flags
        swapgs
        sysretq

        // void vellum::pc::switch_stacks(Word* save, Word load)
        .balign 16
        .globl  _ZN6vellum2pc13switch_stacksEPmm
_ZN6vellum2pc13switch_stacksEPmm:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

        // Where a new thread's first switch returns to: entry in r12, argument in r13.
        .globl  vellum_thread_start
vellum_thread_start:
        movq    %r13, %rdi
        call    *%r12
        ud2

        // void vellum::pc::return_to_user(TrapFrame&): the frame lies at the top of the thread's stack.
        .globl  _ZN6vellum2pc14return_to_userERNS0_9TrapFrameE
_ZN6vellum2pc14return_to_userERNS0_9TrapFrameE:
        movq    %rdi, %rsp
        jmp     vellum_user_return

        .section .note.GNU-stack, "", @progbits
