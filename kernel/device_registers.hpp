// Where the kernel reaches the registers of devices.
#pragma once

#include <cstddef>
#include <span>

#include "kernel.hpp"

namespace vellum::kernel {

// Maps the pages in which registers lie, uncached, for good; pages that are mapped already serve again. Error:
// no_memory.
[[nodiscard]] Result<std::span<volatile std::byte>> map_device_registers(Kernel& kernel, PhysRange registers);

}  // namespace vellum::kernel
