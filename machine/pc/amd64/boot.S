// From PVH to C++ on a 64-bit PC. The loader (QEMU's -kernel, Firecracker, Cloud Hypervisor) finds the entry point in
// the note below and enters it in 32-bit protected mode without paging, flat segments, interrupts off, with the
// physical address of the start information in EBX [xen/pvh, "x86/HVM direct boot ABI"].
//
// The tables here map physical memory twice, at 0 (the stub itself runs there) and at kBootDirectMap, for the first 4 GB,
// and the 8 MB of the kernel image at KERNEL_TEXT. The kernel leaves them for its own as soon as it can.

#define PHYSICAL(symbol) ((symbol) - VELLUM_IMAGE_OFFSET)

        .set    kPresent, 1
        .set    kWrite, 2
        .set    kLarge, 0x80
        .set    kTable, kPresent | kWrite
        .set    kPage, kPresent | kWrite | kLarge

        .section .note.pvh, "a", @note
        .balign 4
        .long   4                       // size of the name
        .long   8                       // size of the value
        .long   18                      // XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .quad   PHYSICAL(boot_entry)

        // For GRUB: where to enter; a module is to begin on a page [multiboot2 specification, 3.1].
        .section .multiboot, "a", @progbits
        .balign 8
multiboot_header:
        .set    kMultibootMagic, 0xE85250D6
        .long   kMultibootMagic
        .long   0                       // 32-bit protected mode
        .long   multiboot_header_end - multiboot_header
        .long   -(kMultibootMagic + (multiboot_header_end - multiboot_header))
        .word   3, 0                    // entry address
        .long   12
        .long   PHYSICAL(multiboot_entry)
        .balign 8
        .word   6, 0                    // modules on pages
        .long   8
        .word   0, 0
        .long   8
multiboot_header_end:

        .section .boot.text, "ax", @progbits
        .code32
        // The second argument of kernel_main says which protocol it was (pvh.hpp, BootProtocol).
multiboot_entry:
        movl    $1, %esi
        jmp     boot_common
        .globl  boot_entry
boot_entry:
        xorl    %esi, %esi
boot_common:
        cld
        movl    %ebx, %edi              // first argument of kernel_main

        movl    $0x80000001, %eax       // long mode? [intel/vol2 CPUID]
        cpuid
        btl     $29, %edx
        jnc     no_long_mode

        movl    $(1 << 5 | 1 << 9), %eax // CR4: PAE, OSFXSR
        movl    %eax, %cr4
        movl    $PHYSICAL(boot_root), %eax
        movl    %eax, %cr3
        movl    $0xC0000080, %ecx       // IA32_EFER
        rdmsr
        btsl    $8, %eax                // LME
        wrmsr
        movl    $0x80010001, %eax       // CR0: PG, WP, PE; caches on
        movl    %eax, %cr0
        lgdt    PHYSICAL(boot_gdt_register)
        ljmp    $0x08, $PHYSICAL(boot_long)

no_long_mode:
        movw    $0x3F8, %dx             // the one thing that can be said here
        movb    $'!', %al
        outb    %al, %dx
        cli
        hlt
        jmp     no_long_mode

        .code64
boot_long:
        movabsq $boot_high, %rax
        jmp     *%rax
boot_high:
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %edi, %ebx
        movl    $0xC0000101, %ecx       // IA32_GS_BASE: this CPU's block, for this_cpu()
        movq    $_ZN6vellum2pc8boot_cpuE, %rax
        movq    %rax, %rdx
        shrq    $32, %rdx
        wrmsr
        movl    %ebx, %edi
        movq    $boot_stack_top, %rsp
        xorl    %ebp, %ebp              // a backtrace ends here
        movl    %edi, %edi
        movl    %esi, %esi
        call    kernel_main
        ud2

        .section .boot.data, "aw", @progbits
        .globl  boot_gdt, boot_root
        .balign 16
boot_gdt:
        .quad   0
        .quad   0x00209B0000000000      // 64-bit code
boot_gdt_register:
        .word   boot_gdt_register - boot_gdt - 1
        .long   PHYSICAL(boot_gdt)

        .balign 4096
boot_root:
        .quad   PHYSICAL(boot_linear) + kTable
        .fill   505, 8, 0
        .quad   PHYSICAL(boot_linear) + kTable          // 506: 0xFFFFFD0000000000
        .fill   4, 8, 0
        .quad   PHYSICAL(boot_kernel) + kTable          // 511
boot_linear:
        .quad   PHYSICAL(boot_pages) + kTable
        .quad   PHYSICAL(boot_pages) + 0x1000 + kTable
        .quad   PHYSICAL(boot_pages) + 0x2000 + kTable
        .quad   PHYSICAL(boot_pages) + 0x3000 + kTable
        .fill   508, 8, 0
boot_kernel:
        .fill   511, 8, 0
        .quad   PHYSICAL(boot_image) + kTable           // 0xFFFFFFFFC0000000
boot_image:
        .fill   476, 8, 0
        .set    index, 0
        .rept   4                                       // 476: 0xFFFFFFFFFB800000 is physical 4 MB
        .quad   0x400000 + index * 0x200000 + kPage
        .set    index, index + 1
        .endr
        .fill   32, 8, 0
boot_pages:
        .set    index, 0
        .rept   4 * 512
        .quad   index * 0x200000 + kPage
        .set    index, index + 1
        .endr

        .section .bss
        .balign 4096
        .globl  boot_stack_guard
boot_stack_guard:                       // the kernel's own tables leave this page out
        .skip   4096
        .skip   32768
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
