// Reading page tables as the processor does: from a root's physical address, through the direct map, without a look at
// what the core knows of them. For whoever checks or explains the tables, also when all else is broken.
#pragma once

#include <optional>

#include <vellum/pc/machine.hpp>

#include "format.hpp"

namespace vellum::kernel {

// One entry that maps a page.
struct MappedPage {
  VirtAddr start;
  PhysAddr target;
  unsigned level = 1;
  EntryRights rights;       // of the whole way
  std::uint64_t entry = 0;  // the last one

  [[nodiscard]] ByteCount size() const { return bytes_of(entry_span<HardwareFormat>(level)); }
  [[nodiscard]] bool contains(VirtAddr address) const { return address - start < size(); }
};

namespace table_walk_detail {

using Format = HardwareFormat;

[[nodiscard]] inline std::uint64_t entry_at(Pfn table, unsigned slot) {
  return __atomic_load_n(pc::direct_mapped<const std::uint64_t>(vellum::address_of(table)) + slot, __ATOMIC_RELAXED);
}

template <class Visitor>
void visit_table(Pfn table, unsigned level, Vpn base, VpnRange within, EntryRights rights, Visitor& visit) {
  const PageCount span = entry_span<Format>(level);
  for (unsigned slot = 0; slot < entry_count<Format>(level); ++slot) {
    const Vpn first = base + span * slot;
    const Entry entry{entry_at(table, slot)};
    if (!Format::is_present(entry) || !VpnRange::must(first, span).overlaps(within)) {
      continue;
    }
    const EntryRights here = rights & Format::rights(entry, level);
    if (Format::is_page(entry, level)) {
      visit(MappedPage{.start = vellum::address_of<Format>(first),
                       .target = vellum::address_of(Format::frame(entry, level)),
                       .level = level,
                       .rights = here,
                       .entry = entry.bits});
    } else {
      visit_table(Format::frame(entry, level), level - 1, first, within, here, visit);
    }
  }
}

}  // namespace table_walk_detail

// Calls visit(const MappedPage&) for each page that the tables below `root` map in a range, by ascending address.
template <class Visitor>
void for_each_mapped_page(PhysAddr root, VirtRange range, Visitor visit) {
  using Format = HardwareFormat;
  const VpnRange within = VpnRange::must(vpn_of<Format>(range.start()),
                                         vpn_of<Format>(range.last()) - vpn_of<Format>(range.start()) + PageCount(1));
  table_walk_detail::visit_table(frame_of(root), Format::kLevels, Vpn(0), within, EntryRights::everything(), visit);
}

// The entries on the way to an address, from the root's down to the one that maps it or is not present.
struct TablePath {
  std::uint64_t entries[HardwareFormat::kLevels] = {};
  unsigned count = 0;
  std::optional<MappedPage> page;
};
[[nodiscard]] TablePath walk_to(PhysAddr root, VirtAddr address);

}  // namespace vellum::kernel
