// Entry and exit of the kernel: traps, interrupts and system calls. Each way in saves the registers as a TrapFrame
// (arch.hpp) and calls C++ with it: vellum_on_trap or PerCpu::system_call. Each way back to a program goes through
// vellum_user_return, which first does what asks for attention (PerCpu::user_return).
//
// There are two sets of entries. The isolated ones are used where programs run on tables that map of the kernel only
// what is between vellum_entry_text and vellum_entry_text_end, this CPU's PerCpu, its entry stack, the stacks of traps
// that have their own, and the descriptor tables: they first load the kernel's tables.
//
// In the kernel GS is based at this CPU's PerCpu; the program's base waits where SWAPGS finds it.

        .set    kStackTop, 8            // offsets in PerCpu, checked in per_cpu.hpp
        .set    kUserStack, 16
        .set    kUserReturn, 24
        .set    kKernelRoot, 32
        .set    kUserRoot, 40
        .set    kEntryStackTop, 48
        .set    kScratch, 56
        .set    kSystemCallHandler, 64

        .set    kAttention, 1           // PerCpu::kAttention

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

        // A stub for each vector, 16 bytes long, that goes on at `common`; or at `careful` for those traps that may come
        // between the program's GS and the kernel's, each of which has a stack of its own.
        .macro  STUBS common, careful
        .set    vector, 0
        .rept   256
        .balign 16
        // Vectors whose error code the processor pushes [intel/vol3 table 6-1; amd/vol2 table 8-1].
        .if     vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        .else
        pushq   $0
        .endif
        pushq   $vector
        .if     vector == 1 || vector == 2 || vector == 8 || vector == 18
        jmp     \careful
        .else
        jmp     \common
        .endif
        .set    vector, vector + 1
        .endr
        .endm

        .section .text.entry, "ax", @progbits
        .weak   vellum_on_attention, vellum_renew_user_root
        .balign 4096
        .globl  vellum_entry_text, vellum_trap_stubs, vellum_isolated_trap_stubs
vellum_entry_text:
vellum_trap_stubs:
        STUBS   trap_common, careful_trap
        .balign 16
vellum_isolated_trap_stubs:
        STUBS   isolated_trap, isolated_careful_trap

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
        cmpb    $0, %gs:kUserReturn
        jne     long_user_return
        RESTORE_REGISTERS
        addq    $16, %rsp
        swapgs
        iretq
long_user_return:
        movq    %rsp, %rdi
        testb   $kAttention, %gs:kUserReturn
        jz      isolated_user_return
        call    vellum_on_attention
        jmp     vellum_user_return

        // To the program's own tables, by way of the entry stack, which both have.
isolated_user_return:
        call    vellum_renew_user_root
        RESTORE_REGISTERS
        addq    $16, %rsp
        movq    %rax, %gs:kScratch
        movq    %gs:kEntryStackTop, %rax
        popq    -40(%rax)
        popq    -32(%rax)
        popq    -24(%rax)
        popq    -16(%rax)
        popq    -8(%rax)
        leaq    -40(%rax), %rsp
        movq    %gs:kUserRoot, %rax
        movq    %rax, %cr3
        movq    %gs:kScratch, %rax
        swapgs
        iretq

kernel_return:
        RESTORE_REGISTERS
        addq    $16, %rsp
        iretq

        // Whose GS is loaded is told by its base: the kernel's is an address of the kernel's image. From user mode these
        // traps go on like others, on the thread's own stack, because their handlers may sleep.
        .balign 16
isolated_careful_trap:
        testb   $3, 24(%rsp)
        jnz     isolated_from_user
        // Perhaps just before the program's tables are left, or after they were loaded.
        SAVE_REGISTERS
        pushq   $2
        popfq
        movq    %cr3, %rbp
        movl    $kGsBase, %ecx
        rdmsr
        xorl    %ebx, %ebx
        cmpl    $0xFFFFFFFF, %edx
        je      1f
        movl    $1, %ebx
        swapgs
1:      movq    %gs:kKernelRoot, %rax
        movq    %rax, %cr3
        movq    %rsp, %rdi
        call    vellum_on_trap
        movq    %rbp, %cr3
        testl   %ebx, %ebx
        jz      kernel_return
        swapgs
        jmp     kernel_return
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
isolated_trap:
        testb   $3, 24(%rsp)
        jz      save_from_user          // from the kernel: its tables are loaded
isolated_from_user:
        swapgs
        movq    %rax, %gs:kScratch
        movq    %gs:kKernelRoot, %rax
        movq    %rax, %cr3
        movq    %gs:kScratch, %rax
        jmp     to_own_stack
careful_from_user:
        swapgs
to_own_stack:
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
        .globl  vellum_system_call_entry, vellum_isolated_system_call_entry
vellum_isolated_system_call_entry:
        swapgs
        movq    %rsp, %gs:kUserStack
        movq    %gs:kKernelRoot, %rsp   // the one register that is free
        movq    %rsp, %cr3
        jmp     system_call
vellum_system_call_entry:
        swapgs
        movq    %rsp, %gs:kUserStack
system_call:
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
        call    *%gs:kSystemCallHandler
        cmpb    $0, %gs:kUserReturn
        jne     long_user_return
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

        .globl  vellum_entry_text_end
        .balign 4096
vellum_entry_text_end:

        .text
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
