// Registers of devices, mapped among the device mappings.
#pragma once

#include <cstddef>

#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>

namespace vellum::kernel {

// Uncached, for good. Error: no_memory.
[[nodiscard]] Result<std::byte*> map_device_registers(PhysAddr address, ByteCount size);

}  // namespace vellum::kernel
