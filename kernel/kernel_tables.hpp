// The kernel's own page tables: what every address space shows above its user half.
//
//   image text        read, execute     pages of 4 KB, so that each part has its own rights
//   image constants   read
//   image data        read, write       but for a page beneath the boot stack
//   direct map        read, write       the largest pages that fit and the processor has; where the image's text and
//                                       constants lie, read only
//
// and on the 64-bit kernel, each at the address of its row in the layout:
//
//   page descriptors  read, write
//   tables of the CPU and what outside inspectors read: see fixed_pages.hpp
//
// What lies in the other regions comes and goes: see regions.hpp. No page can be both written and executed, through any
// of its addresses; user code reaches none. All of it is wired and, where the processor can, global.
#pragma once

#include <span>

#include <vellum/heap/kernel_space.hpp>
#include <vellum/pc/cpu_features.hpp>
#include <vellum/phys/memory_map.hpp>

#include "format.hpp"

namespace vellum::kernel {

class KernelTables {
 public:
  using Format = HardwareFormat;

  explicit KernelTables(NodeStore& nodes) : space_(nodes) {}

  // Builds what is above the line, once; `ram` is what the direct map shows, and nothing will be mapped outside of
  // `regions`. Errors: no_memory.
  [[nodiscard]] Result<void> build(const MemoryMap& ram, const pc::CpuFeatures& features,
                                   std::span<const VirtRange> regions);
  // Maps a range with pages as large as fit. Errors: no_memory.
  [[nodiscard]] Result<void> map(VirtRange range, PhysAddr first, Prot prot);

  [[nodiscard]] KernelSpace<Format>& space() { return space_; }
  [[nodiscard]] Node& root() { return space_.root(); }
  [[nodiscard]] PhysAddr root_address() const { return space_.root_address(); }

 private:
  [[nodiscard]] Result<void> map_image();
  [[nodiscard]] Result<void> map_ram(PhysRange range);

  KernelSpace<Format> space_;
  WiredAttributes attributes_{.rights = {}};
};

}  // namespace vellum::kernel
