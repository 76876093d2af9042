// The steps of the start that differ between the processors (start_amd64.cpp, start_i386.cpp).
#pragma once

#include "boot_memory.hpp"
#include "kernel.hpp"

namespace vellum::kernel {

// Makes the allocator of physical memory from what was found, and takes its descriptors out of it. Panics where memory
// does not suffice even for that.
[[nodiscard]] PhysicalMemory& create_memory(Machine& machine, BootMemory& found);

// Builds the kernel's half of all spaces and makes the CPU use it. Panics where memory does not suffice.
void enter_kernel_space(Kernel& kernel, const BootMemory& found);

}  // namespace vellum::kernel
