// The memory that the kernel finds.
#pragma once

#include <vellum/pc/pvh.hpp>
#include <vellum/phys/memory_map.hpp>

namespace vellum::kernel {

struct BootMemory {
  // All that the firmware calls usable, as far as the direct map reaches: what the direct map shows.
  MemoryMap ram;
  // The same without the first megabyte (firmware tables, the start code of other CPUs), the kernel image, and what the
  // loader put there: what may be allocated.
  MemoryMap usable;
};

// Errors: no_space where the firmware's map has more rows or pieces than there is room for.
[[nodiscard]] Result<BootMemory> find_memory(const pc::StartInfo& start_info);

}  // namespace vellum::kernel
