// run_user() and leave_user(): user code runs on the caller's stack position, which becomes the stack of its traps.

        .set    kKernelStack, 4         // offset of TaskState::kernel_stack

        .text

        // void vellum::pc::run_user(const TrapFrame&)
        .globl  _ZN6vellum2pc8run_userERKNS0_9TrapFrameE
_ZN6vellum2pc8run_userERKNS0_9TrapFrameE:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, vellum_task_state + kKernelStack(%rip)
        movq    %rdi, %rsp
        jmp     vellum_user_return

        // void vellum::pc::leave_user()
        .globl  _ZN6vellum2pc10leave_userEv
_ZN6vellum2pc10leave_userEv:
        movq    vellum_task_state + kKernelStack(%rip), %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

        .section .note.GNU-stack, "", @progbits
