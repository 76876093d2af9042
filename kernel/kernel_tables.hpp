// The kernel's own page tables: what every address space shows above its user half.
//
//   image text        read, execute     pages of 4 KB, so that each part has its own rights
//   image constants   read
//   image data        read, write       but for a page beneath the boot stack
//   direct map        read, write       the largest pages that fit and the processor has; where the image's text and
//                                       constants lie, read only
//
// No page can be both written and executed, through any of its addresses; user code reaches none. All of it is wired
// and, where the processor can, global.
#pragma once

#include <vellum/pagetable/wired.hpp>
#include <vellum/pc/cpu_features.hpp>
#include <vellum/phys/memory_map.hpp>

#include "format.hpp"

namespace vellum::kernel {

class KernelTables {
 public:
  using Format = HardwareFormat;

  explicit KernelTables(NodeStore& store) : tables_(store) {}

  // Builds all of it, once; `ram` is what the direct map shows. Errors: no_memory.
  [[nodiscard]] Result<void> build(const MemoryMap& ram, const pc::CpuFeatures& features);

  [[nodiscard]] Node& root() { return *root_; }
  [[nodiscard]] PhysAddr root_address() const { return address_of(root_->table); }

 private:
  [[nodiscard]] Result<void> map(VirtRange range, PhysAddr first, Prot prot);
  [[nodiscard]] Result<void> map_image();
  [[nodiscard]] Result<void> map_ram(PhysRange range);

  Tables<Format> tables_;
  WiredAttributes attributes_{.rights = {}};
  Node* root_ = nullptr;
};

}  // namespace vellum::kernel
