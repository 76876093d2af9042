// Copies to and from user memory, which may fault at any byte: the trap handler then resolves the fault, or goes on at
// user_copy_failed. Both return the bytes (or characters) that were not copied.

        .text
        .globl  user_copy, user_copy_string, user_copy_start, user_copy_end, user_copy_failed

        // std::size_t user_copy(void* to, const void* from, std::size_t size)
user_copy_start:
user_copy:
        movq    %rdx, %rcx
        shrq    $3, %rcx
        andl    $7, %edx
        rep     movsq
        movl    %edx, %ecx
        rep     movsb
        xorl    %eax, %eax
        ret
        // std::size_t user_copy_string(char* to, const char* from, std::size_t room): room left after the zero byte; 0
        // where there was none.
user_copy_string:
        xorl    %eax, %eax
1:      subq    $1, %rdx
        jc      2f
        movb    (%rsi), %cl
        movb    %cl, (%rdi)
        incq    %rsi
        incq    %rdi
        testb   %cl, %cl
        jnz     1b
        leaq    1(%rdx), %rax
2:      ret
user_copy_end:
user_copy_failed:
        movq    $-1, %rax
        ret

        .section .note.GNU-stack, "", @progbits
