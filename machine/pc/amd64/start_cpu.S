// How a CPU besides the first begins: in real mode, at the start of a page below 1 MB to which the code between
// vellum_cpu_start and vellum_cpu_start_end was copied [intel/vol3 8.4]. It goes straight to 64-bit mode on the boot
// stub's tables, which map that page where it is, and on in the image.

#define PHYSICAL(symbol) ((symbol) - VELLUM_IMAGE_OFFSET)

        .section .rodata, "a", @progbits
        .globl  vellum_cpu_start, vellum_cpu_start_end
        .balign 16
        .code16
vellum_cpu_start:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   start_gdt_register - vellum_cpu_start
        movl    $(1 << 5), %eax         // CR4.PAE
        movl    %eax, %cr4
        movl    $PHYSICAL(boot_root), %eax
        movl    %eax, %cr3
        movl    $0xC0000080, %ecx       // IA32_EFER
        rdmsr
        orl     $0x900, %eax            // LME, NXE: the kernel's tables deny execution
        wrmsr
        movl    $0x80010001, %eax       // CR0: PG, WP, PE; caches on
        movl    %eax, %cr0
        ljmpl   $0x08, $PHYSICAL(other_cpu_long)
        .balign 4
start_gdt_register:
        .word   15
        .long   PHYSICAL(boot_gdt)
vellum_cpu_start_end:

        .section .boot.text, "ax", @progbits
        .code64
other_cpu_long:
        movabsq $other_cpu_high, %rax
        jmp     *%rax
other_cpu_high:
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movl    $1, %eax
        cpuid
        shrl    $24, %ebx               // the number of its local APIC
        leaq    vellum_cpus_by_number(%rip), %rax
        movq    (%rax, %rbx, 8), %rbx
        movq    vellum_starting_root(%rip), %rax
        movq    %rax, %cr3
        movl    $0xC0000101, %ecx       // IA32_GS_BASE
        movq    %rbx, %rax
        movq    %rbx, %rdx
        shrq    $32, %rdx
        wrmsr
        movq    8(%rbx), %rsp           // PerCpu::kernel_stack_top
        xorl    %ebp, %ebp
        call    vellum_other_cpu
        ud2

        .section .note.GNU-stack, "", @progbits
