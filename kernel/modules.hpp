// Loadable modules: parts of the kernel that are objects of their own, linked into the core heap when the kernel
// starts. Their text lies in heap text, executable and not writable; their constants and data lie in the core heap.
#pragma once

#include <vellum/base/types.hpp>

#include "kmap.hpp"

namespace vellum::kernel {

// Links the modules that travel in the image. Panics where one does not fit: it was built with this kernel.
void load_modules();

// Where the module lies that writes the live table.
[[nodiscard]] VirtAddr kmap_module_text();

}  // namespace vellum::kernel
