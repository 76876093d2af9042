#include "table_walk.hpp"

namespace vellum::kernel {

TablePath walk_to(PhysAddr root, VirtAddr address) {
  using Format = HardwareFormat;
  TablePath path;
  EntryRights rights = EntryRights::everything();
  Pfn table = frame_of(root);
  for (unsigned level = Format::kLevels; level > 0; --level) {
    const Entry entry{table_walk_detail::entry_at(table, entry_index<Format>(address, level))};
    path.entries[path.count++] = entry.bits;
    if (!Format::is_present(entry)) {
      break;
    }
    rights = rights & Format::rights(entry, level);
    table = Format::frame(entry, level);
    if (Format::is_page(entry, level)) {
      path.page = MappedPage{.start = address.align_down(bytes_of(entry_span<Format>(level))),
                             .target = vellum::address_of(table),
                             .level = level,
                             .rights = rights,
                             .entry = entry.bits};
      break;
    }
  }
  return path;
}

}  // namespace vellum::kernel
