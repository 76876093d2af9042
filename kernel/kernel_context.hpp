// The kernel context: the part of the kernel's memory that must be mapped while a program runs, because entering and
// leaving a system call, a fault or an interrupt needs it. In the mode `kernel_context=isolated` programs run on tables
// that map that and nothing else of the kernel, so that not even a flaw of the processor lets them look at the rest.
//
// Each CPU has a root for this, of its own: before each return to user mode the entries of the program's half are
// copied into it from the root of the space that runs; below, the tables are the space's.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// Builds the tables of the calling CPU's kernel context and makes its programs run on them from now on. Global
// translations must be off. Error: no_memory.
[[nodiscard]] Result<void> isolate_kernel_context(Kernel& kernel);

// For the self-test: prints each page of the kernel that the isolated tables map, with the reason; panics where one is
// mapped without a reason, or one that is needed is missing. isolate_kernel_context() must have been called.
void test_kernel_context(Kernel& kernel);

}  // namespace vellum::kernel
