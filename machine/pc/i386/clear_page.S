// Zeros in a page.

        .text
        .globl  vellum_clear_page
        .balign 16
vellum_clear_page:
        pushl   %edi
        movl    8(%esp), %edi
        xorl    %eax, %eax
        movl    $1024, %ecx
        rep stosl
        popl    %edi
        ret

        .section .note.GNU-stack, "", @progbits
