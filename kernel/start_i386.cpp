#include <vellum/pc/machine.hpp>

#include "image.hpp"
#include "must.hpp"
#include "start.hpp"

namespace vellum::kernel {

// The descriptors of physical memory lie in the highest of it that the boot stub's tables reach.
PhysicalMemory& create_memory(Machine& machine, BootMemory& found) {
  constexpr const char* kTooSmall = "not enough memory for its own descriptors";
  MemoryMap& usable = found.usable;
  const PageCount pages = pages_for(PhysicalMemory::area_size(usable, machine.cpu_count()));
  const FrameRange area =
      must(usable.allocate(pages, PageCount(1), PhysAddr(pc::kBootDirectMapSize.value())), kTooSmall);
  auto* const bytes = pc::direct_mapped<std::byte>(address_of(area.start()));
  return *must(PhysicalMemory::create(machine, usable, {bytes, static_cast<std::size_t>(bytes_of(pages).value())}),
               kTooSmall);
}

void enter_kernel_space(Kernel& kernel, const BootMemory& found) {
  const VirtRange half[] = {VirtRange::between(pc::direct_map(), image_data().end())};
  must(kernel.tables.build(found.ram, kernel.features, half), "not enough memory for the kernel's tables");
  kernel.machine.set_root(kernel.tables.root_address());
}

}  // namespace vellum::kernel
