#include "kernel_tables.hpp"

#include <algorithm>

#include "image.hpp"

namespace vellum::kernel {

namespace {

// Of the first megabyte the firmware calls only a part usable, but its tables and the loader's notes lie there too, so
// the direct map shows all of it.
constexpr PhysAddr kFirstMegabyte{std::uint64_t{1} << 20};

constexpr unsigned kLargePage = 2;     // 2 MB
constexpr unsigned kGigabytePage = 3;  // 1 GB

}  // namespace

Result<void> KernelTables::build(const MemoryMap& ram, const pc::CpuFeatures& features,
                                 std::span<const VirtRange> regions) {
  attributes_.largest_level = features.gigabyte_pages ? kGigabytePage : kLargePage;
  attributes_.lifetime = features.global_pages ? Lifetime::global : Lifetime::of_root;
  VELLUM_TRY(space_.start(regions));
  VELLUM_TRY(map_image());
  VELLUM_TRY(map_ram(PhysRange::between(PhysAddr(0), kFirstMegabyte)));
  for (const FrameRange& range : ram.ranges()) {
    const PhysAddr start = std::max(address_of(range.start()), kFirstMegabyte);
    if (start < address_of(range.end())) {
      VELLUM_TRY(map_ram(PhysRange::between(start, address_of(range.end()))));
    }
  }
  return {};
}

Result<void> KernelTables::map_image() {
  VELLUM_TRY(map(image_text(), physical(image_text()).start(), Prot::read() | Prot::execute()));
  VELLUM_TRY(map(image_constants(), physical(image_constants()).start(), Prot::read()));
  const VirtRange parts_of_data[] = {
      VirtRange::between(image_data().start(), image_guard().start()),
      VirtRange::between(image_guard().end(), image_data().end()),
  };
  for (const VirtRange& part : parts_of_data) {
    VELLUM_TRY(map(part, physical(part).start(), Prot::read() | Prot::write()));
  }
  return {};
}

// A range of RAM, in up to three parts: the middle one holds code.
Result<void> KernelTables::map_ram(PhysRange range) {
  const PhysRange code = PhysRange::between(physical(image_text()).start(), physical(image_constants()).end());
  PhysAddr from = range.start();
  while (from < range.end()) {
    PhysAddr to = range.end();
    Prot prot = Prot::read() | Prot::write();
    if (code.contains(from)) {
      to = std::min(to, code.end());
      prot = Prot::read();
    } else if (from < code.start()) {
      to = std::min(to, code.start());
    }
    VELLUM_TRY(map(VirtRange::must(pc::direct_map() + ByteCount(from.value()), to - from), from, prot));
    from = to;
  }
  return {};
}

Result<void> KernelTables::map(VirtRange range, PhysAddr first, Prot prot) {
  WiredAttributes attributes = attributes_;
  attributes.rights = {.write = prot.can_write(), .execute = prot.can_execute(), .user = false};
  return space_.map(range, first, attributes);
}

}  // namespace vellum::kernel
