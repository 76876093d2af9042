// The 64-bit kernel, from high to low (layout of illumos/i86pc, os/startup.c).
#include "placement.hpp"

namespace vellum::layout_detail {

namespace {

using namespace amd64_layout;

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
     kRead, PageSizes::small(), StrayAccess::wired,
     "The boot CPU's global descriptor table: which segments and privilege levels exist."},
    {RegionId::idt, "IDT page", "IDT_VA", kIdt, kGdt, RegionPlacement::derived, Growth::none, Accessor::kernel, kRead,
     PageSizes::small(), StrayAccess::wired,
     "The interrupt descriptor table: where traps and interrupts enter the kernel."},
    {RegionId::ldt, "LDT pages", "LDT_VA", kLdt, kIdt, RegionPlacement::derived, Growth::none, Accessor::kernel,
     kReadWrite, PageSizes::small(), StrayAccess::wired,
     "Room for a local descriptor table of 8192 entries, for programs that define segments of their own."},
    {RegionId::tss, "TSS page", "KTSS_VA", kTss, kLdt, RegionPlacement::derived, Growth::none, Accessor::kernel,
     kReadWrite, PageSizes::small(), StrayAccess::wired,
     "The boot CPU's task-state segment: the stacks to switch to when a trap arrives."},
    {RegionId::double_fault_tss, "double-fault TSS page", "DFTSS_VA", kDoubleFaultTss, kTss, RegionPlacement::derived,
     Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::wired,
     "Needed by the 32-bit kernel only; here the stack on which a double fault arrives. MISC_VA_BASE is its start."},
    {RegionId::heap_text, "heap text", "", kHeapText, kMiscBase, RegionPlacement::derived, Growth::none,
     Accessor::kernel, kReadExecute, PageSizes::small(), StrayAccess::wired,
     "Instructions of loadable modules that did not fit beside the kernel text."},
    {RegionId::core_heap, "core heap", "core_base", kCoreHeap, kHeapText, RegionPlacement::fixed, Growth::up,
     Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::wired,
     "Data of loadable modules, within 2 GB of the kernel text so that 32-bit displacements reach it."},
    {RegionId::kernel_heap, "kernel heap", "kernelheap", &Landmarks::kernelheap, kCoreHeap, RegionPlacement::floating,
     Growth::up, Accessor::kernel, kReadWrite, PageSizes::up_to_2m(), StrayAccess::wired,
     "What the kernel allocates for itself; its first page is never given out."},
    {RegionId::segmap, "segmap", "segmap_start", &Landmarks::segmap_start, &Landmarks::kernelheap,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(),
     StrayAccess::file_window, "Windows of 8 KB onto pages of files, for read and write."},
    {RegionId::device, "device mappings", "toxic_addr", &Landmarks::toxic_addr, &Landmarks::segmap_start,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_1g(), StrayAccess::toxic,
     "Registers of devices; toxic, because a mere read may change what a device does."},
    {RegionId::segzio, "segzio", "segzio_base", &Landmarks::segzio_base, &Landmarks::toxic_addr,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(), StrayAccess::wired,
     "Buffers of file data, apart from the heap so that they neither fragment it nor fill crash dumps."},
    {RegionId::segkvmm, "segkvmm", "segkvmm_base", &Landmarks::segkvmm_base, &Landmarks::segzio_base,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_2m(), StrayAccess::wired,
     "Memory of virtual machines, as the kernel sees it."},
    {RegionId::segkp, "segkp", "segkp_base", &Landmarks::segkp_base, &Landmarks::segkvmm_base,
     RegionPlacement::floating, Growth::none, Accessor::kernel, kReadWrite, PageSizes::small(),
     StrayAccess::kernel_stacks,
     "Kernel memory that can be paged out: above all the threads' kernel stacks, each above a red-zone page."},
    {RegionId::valloc, "page descriptors", "valloc_base", &Landmarks::valloc_base, &Landmarks::valloc_end,
     RegionPlacement::fixed_or_lower, Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_2m(),
     StrayAccess::wired, "What the kernel knows of each page of memory: descriptors, memory lists, the page hash."},
    {RegionId::segkpm_room, "room of segkpm", "", &Landmarks::segkpm_end, &Landmarks::valloc_base,
     RegionPlacement::floating, Growth::none, Accessor::nobody, Prot::none(), PageSizes::none(),
     StrayAccess::never_mapped, "Unmapped: the direct map would reach here if there were more memory."},
    {RegionId::segkpm, "segkpm", "SEGKPM_BASE", &Landmarks::segkpm_base, &Landmarks::segkpm_end,
     RegionPlacement::fixed_or_lower, Growth::none, Accessor::kernel, kReadWrite, PageSizes::up_to_1g(),
     StrayAccess::direct_map,
     "The direct map: all of physical memory at its address plus SEGKPM_BASE, never executable."},
    {RegionId::red_zone, "red zone", "KERNELBASE", &Landmarks::kernelbase, &Landmarks::segkpm_base,
     RegionPlacement::fixed_or_lower, Growth::none, Accessor::nobody, Prot::none(), PageSizes::none(),
     StrayAccess::never_mapped,
     "Catches bugs with kernel addresses: one empty entry of the root table, into which copies that overrun user "
     "memory fall."},
    {RegionId::limit_gap, "gap above USERLIMIT", "USERLIMIT", &Landmarks::user_limit, &Landmarks::kernelbase,
     RegionPlacement::fixed_or_lower, Growth::none, Accessor::nobody, Prot::none(), PageSizes::none(),
     StrayAccess::never_mapped, "2 MB that belong to nobody, so that user memory never touches KERNELBASE."},
};

}  // namespace

constexpr std::span<const RegionRow> kAmd64Table = kRows;

}  // namespace vellum::layout_detail
