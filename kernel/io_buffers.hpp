// segzio: buffers through which devices bring pages of files, and the queues that they are asked with. Apart from the
// heap, so that what is large and of one size does not break it up.
#pragma once

#include <cstddef>

#include <vellum/base/range.hpp>
#include <vellum/phys/frame.hpp>

namespace vellum::kernel {

// One block of physical memory, as devices want it, seen in segzio.
struct IoBuffer {
  VirtRange range;
  PhysAddr address;
};

// Holds zeros. Error: no_memory.
[[nodiscard]] Result<IoBuffer> allocate_io_buffer(Order order);
void free_io_buffer(const IoBuffer& buffer);

// Where bytes of such a buffer, or of the direct map, lie in physical memory.
[[nodiscard]] PhysAddr physical_address(const std::byte* bytes);

}  // namespace vellum::kernel
