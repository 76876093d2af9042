// Single accesses whose faults the self-test looks at. One source for both processors: kFirst and kSecond are the
// registers of a user program's two arguments (arch.hpp, TrapFrame::user).

#if defined(__x86_64__)
#define kFirst %rdi
#else
#define kFirst %edi
#endif
#define kSecond %esi

// The user program, copied to user memory. Each entry point does one thing with its arguments and calls the kernel:
//   read, write    4 bytes at the first argument; the call passes what was read, the second argument is written
//   execute        jumps to the first argument
//   touch          writes a byte to as many pages as the second argument says, from the first on

        .section .rodata
        .globl  user_program_start, user_program_read, user_program_write, user_program_execute
        .globl  user_program_touch, user_program_end
user_program_start:
user_program_read:
        movl    (kFirst), %eax
        int     $0x80
user_program_write:
        movl    kSecond, (kFirst)
        int     $0x80
user_program_execute:
        jmp     *kFirst
user_program_touch:
        movb    $1, (kFirst)
        add     $4096, kFirst
        decl    kSecond
        jnz     user_program_touch
        int     $0x80
user_program_end:

// unsigned probe_read(Word address), probe_write, probe_execute: 0 after the access. The trap handler of the self-test
// makes an access that faults return 1 by going on at probe_faulted. A write writes back what it read; what is executed
// must be `ret`.

        .text
        .globl  probe_read, probe_write, probe_execute, probe_faulted
#if defined(__x86_64__)
#define kLoadAddress movq %rdi, %rdx
#define kAddress %rdx
#else
#define kLoadAddress movl 4(%esp), %edx
#define kAddress %edx
#endif
probe_read:
        kLoadAddress
        movl    (kAddress), %eax
        xorl    %eax, %eax
        ret
probe_write:
        kLoadAddress
        movl    (kAddress), %eax
        movl    %eax, (kAddress)
        xorl    %eax, %eax
        ret
probe_execute:
        kLoadAddress
        xorl    %eax, %eax
        jmp     *kAddress
probe_faulted:
        movl    $1, %eax
        ret

        .section .note.GNU-stack, "", @progbits
