#include <vellum/layout/explain.hpp>

namespace vellum {

namespace {

constexpr std::uint64_t kErrorNumbers = 4095;  // as many negative numbers as a system call returns for errors
constexpr std::uint64_t kBelowSignBit = (std::uint64_t{1} << 47) - 1;

struct ClueFound {
  Clue clue = Clue::none;
  std::uint64_t value = 0;
};

ClueFound find_clue(const AddressMap& map, const LayoutRegion& region, VirtAddr address) {
  const Landmarks& at = map.landmarks();
  const ByteCount to_last = map.space_end() - ByteCount(1) - address;
  if (to_last.value() < kErrorNumbers) {
    return {Clue::negative_number, to_last.value() + 1};
  }
  switch (region.row->id) {
    case RegionId::invalid:
      return {Clue::null_pointer, address.value()};
    case RegionId::user_stack:
      return {Clue::on_stack, (at.stack_top - address).value()};
    case RegionId::stack_guard:
      return {Clue::stack_overflow, (at.stack_start - address).value()};
    case RegionId::va_hole:
      return {Clue::tagged_pointer, address.value() & kBelowSignBit};
    case RegionId::hole_guard:
      return {Clue::end_of_low_half, (region.range.end() - address).value()};
    case RegionId::limit_gap:
    case RegionId::red_zone:
      if (map.model() != UserModel::illumos) {
        return {};  // this program's memory ends far below
      }
      return {Clue::overran_user_half, (address - at.user_limit).value()};
    case RegionId::segkpm:
      return {Clue::physical_memory, (address - at.segkpm_base).value()};
    case RegionId::segkpm_room:
      return {Clue::beyond_memory, (address - at.segkpm_base).value()};
    case RegionId::device:
      return {Clue::device_registers, 0};
    case RegionId::segkp:
      return {Clue::kernel_stack, 0};
    default:
      return {};
  }
}

Outcome outcome_in_kernel_region(const RegionRow& row, Access access) {
  if (!needed_for(access).within(row.rights)) {
    return Outcome::panics;
  }
  switch (row.stray) {
    case StrayAccess::toxic:
      return Outcome::touches_device;
    case StrayAccess::direct_map:
      return Outcome::works_on_memory;
    case StrayAccess::kernel_stacks:
      return Outcome::pages_in;
    case StrayAccess::file_window:
      return Outcome::reads_file;
    default:
      return Outcome::works_where_used;
  }
}

Outcome outcome_for_kernel(const RegionRow& row, Access access) {
  if (row.accessor == Accessor::kernel) {
    return outcome_in_kernel_region(row, access);
  }
  if (access == Access::execute) {
    return Outcome::panics;
  }
  return row.accessor == Accessor::user ? Outcome::only_in_user_copy : Outcome::copy_fails_or_panics;
}

Outcome outcome_for_user(const RegionRow& row, Access access) {
  if (row.stray == StrayAccess::non_canonical) {
    return Outcome::signal_non_canonical;
  }
  if (row.accessor != Accessor::user) {
    return Outcome::signal_unmapped;
  }
  if (!needed_for(access).within(row.rights)) {
    return Outcome::signal_denied;
  }
  return row.stray == StrayAccess::user_stack ? Outcome::grows_stack : Outcome::as_mapped;
}

}  // namespace

std::optional<Explanation> explain(const AddressMap& map, VirtAddr address) {
  const LayoutRegion* region = map.find(address);
  if (region == nullptr) {
    return std::nullopt;
  }
  const LayoutRegion* const first = map.regions().data();
  const LayoutRegion* const last = first + (map.regions().size() - 1);
  const LayoutRegion* above = region == first ? nullptr : region - 1;
  while (above != nullptr && above->row->id == RegionId::unused) {
    above = above == first ? nullptr : above - 1;
  }
  const LayoutRegion* below = region == last ? nullptr : region + 1;
  while (below != nullptr && below->row->id == RegionId::unused) {
    below = below == last ? nullptr : below + 1;
  }
  const ClueFound found = find_clue(map, *region, address);
  return Explanation{address,
                     region,
                     above,
                     below,
                     above == nullptr ? ByteCount(0) : above->range.start() - address,
                     below == nullptr ? ByteCount(0) : address - below->range.end(),
                     found.clue,
                     found.value};
}

Outcome outcome_of(const LayoutRegion& region, Privilege privilege, Access access) {
  return privilege == Privilege::user ? outcome_for_user(*region.row, access) : outcome_for_kernel(*region.row, access);
}

}  // namespace vellum
