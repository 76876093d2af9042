#include "boot_tables.hpp"

#include <algorithm>

#include <vellum/pc/machine.hpp>

#include "format.hpp"

namespace vellum::kernel {

namespace {

using Format = HardwareFormat;

constexpr unsigned kLargePage = 2;
constexpr EntryRights kData{.write = true, .execute = false, .user = false};

std::uint64_t* root_entries() { return pc::direct_mapped<std::uint64_t>(PhysAddr(pc::read_cr3())); }

Result<std::uint64_t*> table_below(MemoryMap& usable, std::uint64_t& entry, unsigned level) {
  if (entry != 0) {
    return pc::direct_mapped<std::uint64_t>(address_of(Format::frame({entry}, level)));
  }
  const FrameRange page =
      VELLUM_TRY(usable.allocate(PageCount(1), PageCount(1), PhysAddr(pc::kBootDirectMapSize.value())));
  auto* const table = pc::direct_mapped<std::uint64_t>(address_of(page.start()));
  std::fill_n(table, entry_count<Format>(level - 1), 0);
  entry = Format::make_table(page.start(), level, EntryRights::everything()).bits;
  return table;
}

}  // namespace

void move_direct_map(VirtAddr base) {
  VELLUM_CHECK(base.is_aligned(bytes_of(entry_span<Format>(Format::kLevels))));
  std::uint64_t* const root = root_entries();
  root[entry_index<Format>(base, Format::kLevels)] = root[entry_index<Format>(pc::kBootDirectMap, Format::kLevels)];
  pc::direct_map_base = base;
}

Result<void> map_at_boot(MemoryMap& usable, VirtRange range, PhysAddr target) {
  const ByteCount large = bytes_of(entry_span<Format>(kLargePage));
  ByteCount done;
  while (done < range.size()) {
    const VirtAddr address = range.start() + done;
    const bool fits = address.is_aligned(large) && (target + done).is_aligned(large) && range.size() - done >= large;
    const unsigned leaf = fits ? kLargePage : 1;
    std::uint64_t* table = root_entries();
    for (unsigned level = Format::kLevels; level > leaf; --level) {
      table = VELLUM_TRY(table_below(usable, table[entry_index<Format>(address, level)], level));
    }
    table[entry_index<Format>(address, leaf)] = Format::make_page(frame_of(target + done), leaf, kData).bits;
    done += bytes_of(entry_span<Format>(leaf));
  }
  return {};
}

}  // namespace vellum::kernel
