// The map of addresses by which this kernel is laid out, computed from the memory that it found.
#pragma once

#include <vellum/layout/address_map.hpp>

#include "boot_memory.hpp"

namespace vellum::kernel {

// Computes the map, once, early; `tables` is what the page descriptors take. Panics where the memory has no layout,
// with the rule that fails.
void compute_layout(const BootMemory& memory, ByteCount tables);

[[nodiscard]] const AddressMap& address_map();
// What it was computed from.
[[nodiscard]] const KernelInputs& layout_inputs();
// The range of a row. The row must be one of this map.
[[nodiscard]] VirtRange region(RegionId id);

}  // namespace vellum::kernel
