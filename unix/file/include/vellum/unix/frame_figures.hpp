// What frames are used for.
#pragma once

#include <vellum/phys/physical_memory.hpp>

namespace vellum::unix {

// In pages.
struct FrameFigures {
  std::uint64_t anonymous = 0;
  std::uint64_t files = 0;   // of objects whose pages can be read again
  std::uint64_t shared = 0;  // of other objects
  std::uint64_t tables = 0;
};

// A look at each frame: nobody pays for it but who asks.
[[nodiscard]] FrameFigures count_frames(PhysicalMemory& memory);

}  // namespace vellum::unix
