// The addresses that never move, each written down once: the tables' rows, the formulas and link scripts agree because
// they all read these. Source: the two tables (illumos/i86pc, os/startup.c, sys/machparam.h).
#pragma once

#include <vellum/base/types.hpp>

namespace vellum {

namespace amd64_layout {
using namespace literals;
inline constexpr VirtAddr kArgumentsBase{0xFFFF'FFFF'FFC0'0000};  // ARGSBASE
inline constexpr VirtAddr kDebuggerBase{0xFFFF'FFFF'FF80'0000};   // SEGDEBUGBASE
inline constexpr VirtAddr kKernelData{0xFFFF'FFFF'FBC0'0000};
inline constexpr VirtAddr kKernelText{0xFFFF'FFFF'FB80'0000};  // KERNEL_TEXT
inline constexpr ByteCount kNucleusHalf = 4_MiB;               // room of the text, and of the data
inline constexpr VirtAddr kDebugInfo = kKernelText - 4_KiB;    // DEBUG_INFO_VA
inline constexpr VirtAddr kGdt = kDebugInfo - 4_KiB;           // GDT_VA
inline constexpr VirtAddr kIdt = kGdt - 4_KiB;                 // IDT_VA
inline constexpr VirtAddr kLdt = kIdt - 64_KiB;                // LDT_VA: 8192 descriptors
inline constexpr VirtAddr kTss = kLdt - 4_KiB;                 // KTSS_VA
inline constexpr VirtAddr kDoubleFaultTss = kTss - 4_KiB;      // DFTSS_VA
inline constexpr VirtAddr kMiscBase = kDoubleFaultTss;         // MISC_VA_BASE
inline constexpr VirtAddr kHeapText = kMiscBase - 64_MiB;
inline constexpr VirtAddr kCoreHeap{0xFFFF'FFFF'C000'0000};    // COREHEAP_BASE
inline constexpr VirtAddr kVallocBase{0xFFFF'FE00'0000'0000};  // VALLOC_BASE, up to 256 GB of memory
inline constexpr VirtAddr kSegkpmBase{0xFFFF'FD00'0000'0000};  // SEGKPM_BASE, up to 256 GB of memory
inline constexpr ByteCount kRedZoneSize = 512_GiB;             // KERNEL_REDZONE_SIZE: one entry of the root table
inline constexpr ByteCount kLimitGap = 2_MiB;                  // KERNELBASE - USERLIMIT
inline constexpr ByteCount kDeviceSize = 1_GiB;                // toxic_size
inline constexpr VirtAddr kHoleStart{0x0000'8000'0000'0000};
inline constexpr VirtAddr kHoleEnd{0xFFFF'8000'0000'0000};  // AMD64_VA_HOLE_END
inline constexpr VirtAddr kSpaceEnd{0};                     // 2^64
// The last page below the hole stays unmapped, so that no SYSCALL returns to a non-canonical address.
inline constexpr VirtAddr kHoleGuard = kHoleStart - 4_KiB;
inline constexpr VirtAddr kUserText{0x0400'0000};
inline constexpr VirtAddr kUserLimit32{0xFEFF'F000};              // USERLIMIT32: of a 32-bit program
inline constexpr VirtAddr kLinuxUserText{0x0000'5555'5555'4000};  // two thirds of 2^47, as on Linux (ELF_ET_DYN_BASE)
}  // namespace amd64_layout

namespace i386_layout {
using namespace literals;
inline constexpr VirtAddr kSpaceEnd{0x1'0000'0000};
inline constexpr VirtAddr kArgumentsBase{0xFFC0'0000};  // ARGSBASE
inline constexpr VirtAddr kDebuggerBase{0xFF80'0000};   // SEGDEBUGBASE
inline constexpr VirtAddr kKernelData{0xFEC0'0000};
inline constexpr VirtAddr kKernelText{0xFE80'0000};  // KERNEL_TEXT
inline constexpr ByteCount kNucleusHalf = 4_MiB;
inline constexpr VirtAddr kDebugInfo = kKernelText - 4_KiB;  // DEBUG_INFO_VA
inline constexpr VirtAddr kGdt = kDebugInfo - 4_KiB;         // GDT_VA
inline constexpr VirtAddr kIdt = kGdt - 4_KiB;
inline constexpr VirtAddr kTss = kIdt - 4_KiB;             // KTSS_VA
inline constexpr VirtAddr kDoubleFaultTss = kTss - 4_KiB;  // DFTSS_VA
inline constexpr VirtAddr kMiscBase = kDoubleFaultTss;     // MISC_VA_BASE
inline constexpr ByteCount kHeapTextSize = 64_MiB;
inline constexpr ByteCount kRedZoneSize = 8_KiB;            // KERNEL_REDZONE_SIZE = MAXBSIZE
inline constexpr VirtAddr kDefaultKernelbase{0xD400'0000};  // KERNELBASE, before the tables are taken from it
inline constexpr VirtAddr kMaxKernelbase{0xE000'0000};      // KERNELBASE_MAX
inline constexpr VirtAddr kAbiMinKernelbase{0xC000'0000};   // KERNELBASE_ABI_MIN
inline constexpr VirtAddr kUserText{0x0804'8000};           // and the top of the stack, USRSTACK
}  // namespace i386_layout

// Nothing is ever mapped below (Linux's vm.mmap_min_addr, illumos's null guard): small numbers are no pointers.
inline constexpr VirtAddr kLowestUserAddress{0x1'0000};

}  // namespace vellum
