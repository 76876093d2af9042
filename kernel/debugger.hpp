// The kernel debugger: what is said when the kernel fails. It lives in the region of its own at SEGDEBUGBASE, allocates
// nothing, trusts no structure of the kernel but the tables that the processor runs, and touches no device.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// Makes its memory, and failures be reported by it from now on. Error: no_memory.
[[nodiscard]] Result<void> start_debugger(Kernel& kernel);

// Whether the kernel can read 8 bytes at an address without harm: mapped, and no registers of devices.
[[nodiscard]] bool is_readable(VirtAddr address);

// What the failure of the stack that the trap interrupted is called, or null where it was not that: the access that
// could not push the trap went to the red zone below a kernel stack.
[[nodiscard]] const char* stack_overflow(const pc::TrapFrame& frame);

}  // namespace vellum::kernel
