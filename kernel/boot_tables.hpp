// What the 64-bit kernel adds to the boot stub's tables until its own are on, so that what it makes meanwhile already
// has the addresses that it will keep.
#pragma once

#include <vellum/base/range.hpp>
#include <vellum/phys/memory_map.hpp>

namespace vellum::kernel {

// Shows the first 4 GB of physical memory at `base` too, and makes it the direct map.
void move_direct_map(VirtAddr base);

// Maps a range, which the stub does not, to physical memory from `target` on. Takes pages for tables out of `usable`
// for good. Errors: no_memory.
[[nodiscard]] Result<void> map_at_boot(MemoryMap& usable, VirtRange range, PhysAddr target);

}  // namespace vellum::kernel
