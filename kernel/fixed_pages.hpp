// The pages at fixed addresses right below the kernel text: the boot CPU's descriptor tables, its task state, and what
// the kernel tells those who look at it from outside.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// Fills the pages, before the kernel's own tables are on: after, most of them cannot be written.
void prepare_fixed_pages(const Kernel& kernel);
// Maps them in the kernel's tables. Errors: no_memory.
[[nodiscard]] Result<void> map_fixed_pages(Kernel& kernel);
// Makes the CPU use them. The kernel's tables are on.
void use_fixed_pages();

}  // namespace vellum::kernel
