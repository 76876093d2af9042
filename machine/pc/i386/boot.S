// From PVH to C++ on a 32-bit PC. The loader (QEMU's -kernel) finds the entry point in the note below and enters it in
// 32-bit protected mode without paging, flat segments, interrupts off, with the physical address of the start
// information in EBX [xen/pvh, "x86/HVM direct boot ABI"].
//
// The tables here (PAE) map the first 512 MB of physical memory at kBootDirectMap, the 8 MB of the kernel image at
// KERNEL_TEXT, and those 8 MB at their physical address too, where the stub runs. The kernel leaves them for its own as
// soon as it can.

#define PHYSICAL(symbol) ((symbol) - VELLUM_IMAGE_OFFSET)

        .set    kPresent, 1
        .set    kWrite, 2
        .set    kLarge, 0x80
        .set    kTable, kPresent | kWrite
        .set    kPage, kPresent | kWrite | kLarge

        .section .note.pvh, "a", @note
        .balign 4
        .long   4                       // size of the name
        .long   4                       // size of the value
        .long   18                      // XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .long   PHYSICAL(boot_entry)
        .long   0                       // QEMU reads the value with the width of its host

        .section .boot.text, "ax", @progbits
        .globl  boot_entry
boot_entry:
        cld
        movl    %ebx, %esi

        movl    $1, %eax                // PAE? [intel/vol2 CPUID]
        cpuid
        btl     $6, %edx
        jnc     no_pae

        movl    $(1 << 5), %eax         // CR4.PAE
        movl    %eax, %cr4
        movl    $PHYSICAL(boot_root), %eax
        movl    %eax, %cr3
        movl    $0x80010001, %eax       // CR0: PG, WP, PE; caches on
        movl    %eax, %cr0
        movl    $boot_high, %eax
        jmp     *%eax

no_pae:
        movw    $0x3F8, %dx             // the one thing that can be said here
        movb    $'!', %al
        outb    %al, %dx
        cli
        hlt
        jmp     no_pae

boot_high:
        movl    $boot_stack_top, %esp
        xorl    %ebp, %ebp              // a backtrace ends here
        subl    $8, %esp
        pushl   $0                      // PVH (pvh.hpp, BootProtocol)
        pushl   %esi
        call    kernel_main
        ud2

        .section .boot.data, "aw", @progbits
        .balign 4096
boot_root:                              // four entries; they know no write bit
        .long   PHYSICAL(boot_low) + kPresent, 0
        .quad   0
        .quad   0
        .long   PHYSICAL(boot_high_pages) + kPresent, 0

        .balign 4096
boot_low:
        .quad   0, 0
        .set    index, 2
        .rept   4
        .quad   index * 0x200000 + kPage
        .set    index, index + 1
        .endr
        .fill   506, 8, 0
boot_high_pages:                        // 0xC0000000
        .fill   128, 8, 0
        .set    index, 0
        .rept   256                     // 128: 0xD0000000
        .quad   index * 0x200000 + kPage
        .set    index, index + 1
        .endr
        .fill   116, 8, 0
        .set    index, 2
        .rept   4                       // 500: 0xFE800000 is physical 4 MB
        .quad   index * 0x200000 + kPage
        .set    index, index + 1
        .endr
        .fill   8, 8, 0

        .section .bss
        .balign 4096
        .globl  boot_stack_guard
boot_stack_guard:                       // the kernel's own tables leave this page out
        .skip   4096
        .skip   32768
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
