// The 32-bit kernel, from high to low (layout of illumos/i86pc, os/startup.c).
#include "placement.hpp"

namespace vellum::layout_detail {

namespace {

using namespace i386_layout;

constexpr Prot kRead = Prot::read();
constexpr Prot kReadWrite = Prot::read() | Prot::write();
constexpr Prot kReadExecute = Prot::read() | Prot::execute();

constexpr RegionRow kRows[] = {
    {RegionId::arguments, "arguments", "ARGSBASE", kArgumentsBase, kSpaceEnd, RegionPlacement::fixed, Growth::none,
     Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::wired,
     "Where exec gathers the arguments and the environment of a new program, while the old one goes."},
    {RegionId::debugger, "debugger", "SEGDEBUGBASE", kDebuggerBase, kArgumentsBase, RegionPlacement::fixed,
     Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::wired,
     "Private memory of the kernel debugger, which must work when everything else is broken."},
    {RegionId::kernel_data, "kernel data", "", kKernelData, kKernelData + kNucleusHalf, RegionPlacement::fixed,
     Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_2m(), StrayAccess::wired,
     "The kernel's own variables, initialised and zeroed, and data of modules that fit in what is left over."},
    {RegionId::kernel_text, "kernel text", "KERNEL_TEXT", kKernelText, kKernelData, RegionPlacement::fixed,
     Growth::none, Accessor::kernel, kReadExecute, PageSizes::up_to_2m(), StrayAccess::wired,
     "The kernel's own instructions and constants, and text of modules that fit in what is left over."},
    {RegionId::debug_info, "debug info", "DEBUG_INFO_VA", kDebugInfo, kKernelText, RegionPlacement::derived,
     Growth::none, Accessor::kernel, kRead, PageSizes::small(), StrayAccess::wired,
     "Tells whoever looks from outside (a hypervisor, a dump) where the kernel keeps its tables."},
    {RegionId::gdt, "GDT page", "GDT_VA", kGdt, kDebugInfo, RegionPlacement::derived, Growth::none, Accessor::kernel,
     kReadWrite, PageSizes::small(), StrayAccess::wired,
     "The boot CPU's global descriptor table; writable, because a task switch on a double fault marks its task busy."},
    {RegionId::idt, "IDT page", "IDT_VA", kIdt, kGdt, RegionPlacement::derived, Growth::none, Accessor::kernel, kRead,
     PageSizes::small(), StrayAccess::wired,
     "The interrupt descriptor table: where traps and interrupts enter the kernel."},
    {RegionId::tss, "TSS page", "KTSS_VA", kTss, kIdt, RegionPlacement::derived, Growth::none, Accessor::kernel,
     kReadWrite, PageSizes::small(), StrayAccess::wired,
     "The boot CPU's task-state segment: the stack to switch to when a trap arrives."},
    {RegionId::double_fault_tss, "double-fault TSS page", "DFTSS_VA", kDoubleFaultTss, kTss, RegionPlacement::derived,
     Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::wired,
     "The task that takes over on a double fault, on a stack of its own; MISC_VA_BASE is its start."},
    {RegionId::valloc, "page descriptors", "valloc_base", &Landmarks::valloc_base, &Landmarks::valloc_end,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_2m(), StrayAccess::wired,
     "What the kernel knows of each page of memory: descriptors, memory lists, the page hash."},
    {RegionId::heap_text, "heap text", "ekernelheap", &Landmarks::ekernelheap, &Landmarks::valloc_base,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadExecute, PageSizes::small(), StrayAccess::wired,
     "Instructions of loadable modules that did not fit beside the kernel text."},
    {RegionId::kernel_heap, "kernel heap", "kernelheap", &Landmarks::kernelheap, &Landmarks::ekernelheap,
     RegionPlacement::floating, Growth::up, Accessor::kernel, kReadWrite, PageSizes::small(),
     StrayAccess::kernel_stacks,
     "What the kernel allocates for itself; on this kernel also its stacks and the mappings of devices."},
    {RegionId::segkp, "segkp", "", &Landmarks::kernelheap, &Landmarks::kernelheap, RegionPlacement::by_program,
     Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::kernel_stacks,
     "Kernel stacks, each above a red-zone page: just an arena in the heap.", RowKind::part},
    {RegionId::device, "device mappings", "", &Landmarks::kernelheap, &Landmarks::kernelheap,
     RegionPlacement::by_program, Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_2m(), StrayAccess::toxic,
     "Registers of devices, anywhere in the heap; toxic, because a mere read may change what a device does.",
     RowKind::part},
    {RegionId::segmap, "segkmap", "segmap_start", &Landmarks::segmap_start, &Landmarks::kernelheap,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(),
     StrayAccess::file_window, "Windows of 8 KB onto pages of files, for read and write."},
    {RegionId::red_zone, "red zone", "kernelbase", &Landmarks::kernelbase, &Landmarks::segmap_start,
     RegionPlacement::floating, Growth::none, Accessor::nobody, Prot::none(), PageSizes::none(),
     StrayAccess::never_mapped,
     "Catches bugs with kernel addresses: 8 KB into which copies that overrun user memory fall; user space ends here."},
};

}  // namespace

constexpr std::span<const RegionRow> kI386Table = kRows;

}  // namespace vellum::layout_detail
