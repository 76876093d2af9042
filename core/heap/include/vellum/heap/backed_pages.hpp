// Pages of memory for addresses of the kernel half, and taking them away again.
#pragma once

#include <vellum/heap/kernel_space.hpp>

namespace vellum {

// Maps memory to a range of whole pages that is unmapped: read-write, never executed. Errors: no_memory, with nothing
// mapped.
template <PageTableFormat F>
[[nodiscard]] Result<void> back_with_memory(KernelSpace<F>& space, VirtRange range, Contents contents);

// Unmaps a range, every page of which was backed so, and frees its memory.
template <PageTableFormat F>
void free_memory_behind(KernelSpace<F>& space, VirtRange range);

}  // namespace vellum
