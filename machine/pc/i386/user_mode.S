// run_user() and leave_user(): user code runs on the caller's stack position, which becomes the stack of its traps.

        .set    kKernelStack, 4         // offset of TaskState::kernel_stack

        .text

        // void vellum::pc::run_user(const TrapFrame&)
        .globl  _ZN6vellum2pc8run_userERKNS0_9TrapFrameE
_ZN6vellum2pc8run_userERKNS0_9TrapFrameE:
        movl    4(%esp), %eax
        pushl   %ebp
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        movl    %esp, vellum_task_state + kKernelStack
        movl    %eax, %esp
        jmp     vellum_trap_return

        // void vellum::pc::leave_user()
        .globl  _ZN6vellum2pc10leave_userEv
_ZN6vellum2pc10leave_userEv:
        movl    vellum_task_state + kKernelStack, %esp
        popl    %edi
        popl    %esi
        popl    %ebx
        popl    %ebp
        ret

        .section .note.GNU-stack, "", @progbits
