#include <new>

#include <vellum/pc/instructions.hpp>
#include <vellum/pc/machine.hpp>

#include "boot_tables.hpp"
#include "debugger.hpp"
#include "fixed_pages.hpp"
#include "layout.hpp"
#include "modules.hpp"
#include "must.hpp"
#include "regions.hpp"
#include "start.hpp"

namespace vellum::kernel {

namespace {

alignas(Regions) constinit std::byte room_for_regions[sizeof(Regions)] = {};

// Where the page descriptors lie, which begin at valloc_base.
constinit PhysRange descriptors{};

// From so many pages on they lie so that large pages map them.
constexpr PageCount kLargePage{512};

// What the kernel may map something in, so that the root's entries for all of it are made at once.
struct KernelRanges {
  static constexpr std::size_t kMost = 32;
  VirtRange ranges[kMost];
  std::size_t count = 0;

  KernelRanges() {
    for (const LayoutRegion& row : address_map().regions()) {
      if (row.row->accessor == Accessor::kernel) {
        VELLUM_CHECK(count < kMost);
        ranges[count++] = row.range;
      }
    }
  }
  [[nodiscard]] std::span<const VirtRange> all() const { return {ranges, count}; }
};

}  // namespace

PhysicalMemory& create_memory(Machine& machine, BootMemory& found) {
  constexpr const char* kTooSmall = "not enough memory for its own descriptors";
  MemoryMap& usable = found.usable;
  const PageCount pages = pages_for(PhysicalMemory::area_size(usable, machine.cpu_count()));
  compute_layout(found, bytes_of(pages));
  const Landmarks& at = address_map().landmarks();
  if (at.segkpm_base != pc::direct_map()) {
    move_direct_map(at.segkpm_base);
  }
  const FrameRange area = must(usable.allocate(pages, pages < kLargePage ? PageCount(1) : kLargePage), kTooSmall);
  descriptors = PhysRange::must(address_of(area.start()), bytes_of(pages));
  const VirtRange place = VirtRange::must(at.valloc_base, descriptors.size());
  must(map_at_boot(usable, place, descriptors.start()), kTooSmall);
  auto* const bytes = reinterpret_cast<std::byte*>(place.start().value());
  return *must(PhysicalMemory::create(machine, usable, {bytes, static_cast<std::size_t>(place.size().value())}),
               kTooSmall);
}

void enter_kernel_space(Kernel& kernel, const BootMemory& found) {
  constexpr const char* kTooSmall = "not enough memory for the kernel's tables";
  const KernelRanges ranges;
  must(kernel.tables.build(found.ram, kernel.features, ranges.all()), kTooSmall);
  must(kernel.tables.map(VirtRange::must(region(RegionId::valloc).start(), descriptors.size()), descriptors.start(),
                         Prot::read() | Prot::write()),
       kTooSmall);
  must(map_fixed_pages(kernel), kTooSmall);
  prepare_fixed_pages(kernel);
  kernel.machine.set_root(kernel.tables.root_address());
  use_fixed_pages();
  auto* const regions = ::new (room_for_regions) Regions(kernel.tables.space(), kernel.source, kernel.machine);
  must(regions->start(kernel.memory), kTooSmall);
  must(start_debugger(kernel), kTooSmall);
  load_modules();
}

}  // namespace vellum::kernel
