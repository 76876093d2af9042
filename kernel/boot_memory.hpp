// The memory that the kernel may use.
#pragma once

#include <vellum/pc/pvh.hpp>
#include <vellum/phys/memory_map.hpp>

namespace vellum::kernel {

// The firmware's usable memory without the first megabyte (firmware tables, the start code of other CPUs), the kernel
// image, what the loader put there, and what the direct map does not reach.
// Errors: no_space where the firmware's map has more rows or pieces than there is room for.
[[nodiscard]] Result<MemoryMap> usable_memory(const pc::StartInfo& start_info);

}  // namespace vellum::kernel
