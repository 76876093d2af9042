#include "convert.hpp"

#include <algorithm>

#include <vellum/layout/explain.hpp>
#include <vellum/layout/text.hpp>

namespace libvellum::detail {

using vellum::Errno;
using vellum::FaultVerdict;
using vellum::VirtAddr;
using vellum::VirtRange;

Error error_of(Errno error) {
  switch (error) {
    case Errno::no_memory:
      return {.code = Errc::no_memory};
    case Errno::not_permitted:
      return {.code = Errc::not_permitted};
    case Errno::exists:
      return {.code = Errc::exists};
    case Errno::access_denied:
      return {.code = Errc::rights};
    case Errno::overflow:
      return {.code = Errc::overflow};
    case Errno::out_of_range:
      return {.code = Errc::out_of_range};
    case Errno::bad_address:
      return {.code = Errc::bad_address};
    case Errno::try_again:
      return {.code = Errc::try_again};
    case Errno::io_error:
    case Errno::no_space:
      return {.code = Errc::io_error};
    default:
      return {.code = Errc::invalid};
  }
}

Error error_of(const vellum::hosted::Fault& fault, FaultVerdict verdict) {
  Error error = {.code = Errc::non_canonical,
                 .address = fault.address.value(),
                 .access = static_cast<Access>(fault.access),
                 .fault_code = fault.error_code};
  if (fault.kind == vellum::hosted::FaultKind::general_protection) {
    return error;
  }
  switch (verdict) {
    case FaultVerdict::resolved:
    case FaultVerdict::missing:  // no space of the library has such pages
    case FaultVerdict::no_mapping:
      error.code = Errc::no_mapping;
      break;
    case FaultVerdict::access_denied:
      error.code = Errc::access_denied;
      break;
    case FaultVerdict::bus_error:
      error.code = Errc::bus_error;
      break;
    case FaultVerdict::out_of_memory:
      error.code = Errc::out_of_memory;
      break;
  }
  return error;
}

std::optional<vellum::AddressMap> address_map_of(const MachineOptions& machine, UserLayout layout) {
  const vellum::ByteCount memory(std::max(machine.memory, vellum::kMinMemory.value()));
  const auto kernel = vellum::KernelInputs::for_memory(arch_of(machine.format), memory);
  const auto map = vellum::AddressMap::create(kernel, {.model = static_cast<vellum::UserModel>(layout)});
  return map ? std::optional(*map) : std::nullopt;
}

// As kernel/ does for processes.
vellum::SpaceLayout space_layout_of(const vellum::AddressMap& map) {
  using namespace vellum;
  SpaceLayout layout;
  layout.placement_top = map.landmarks().mapping_top;
  if (map.arch() == Arch::i386 || map.model() == UserModel::program32) {
    const VirtAddr end = map.arch() == Arch::i386 ? map.landmarks().user_limit : amd64_layout::kUserLimit32;
    layout.user[0] = VirtRange::between(kLowestUserAddress, end);
    layout.placement_bottom = i386_layout::kUserText;
    return layout;
  }
  layout.user[0] = VirtRange::between(kLowestUserAddress, amd64_layout::kHoleGuard);
  layout.placement_bottom = kLowestUserAddress;
  if (map.model() == UserModel::illumos) {
    layout.user[1] = VirtRange::between(amd64_layout::kHoleEnd, map.landmarks().user_limit);
    layout.placement_bottom = amd64_layout::kHoleEnd;
  }
  return layout;
}

LayoutRegion layout_region_of(const vellum::LayoutRegion& region) {
  const vellum::RegionRow& row = *region.row;
  return {.name = row.name,
          .start = region.range.start().value(),
          .last = region.range.last().value(),
          .most = rights_of(row.rights),
          .user = row.accessor == vellum::Accessor::user,
          .kernel = row.accessor == vellum::Accessor::kernel,
          .floating = row.placement == vellum::RegionPlacement::floating ||
                      row.placement == vellum::RegionPlacement::fixed_or_lower,
          .purpose = row.purpose};
}

std::optional<Explanation> explain(const vellum::AddressMap& map, std::uint64_t address) {
  const std::optional<vellum::Explanation> found = vellum::explain(map, VirtAddr(address));
  if (!found) {
    return std::nullopt;
  }
  char words[256];
  vellum::TextBuffer clue(words);
  vellum::describe(clue, map, *found);
  const auto on = [&found](vellum::Access access) -> std::string_view {
    return vellum::describe(vellum::outcome_of(*found->region, vellum::Privilege::user, access));
  };
  return Explanation{.address = address,
                     .layout = layout_region_of(*found->region),
                     .clue = found->clue == vellum::Clue::none ? "" : clue.c_str(),
                     .on_read = on(vellum::Access::read),
                     .on_write = on(vellum::Access::write),
                     .on_execute = on(vellum::Access::execute),
                     .region = {},
                     .below = {},
                     .above = {}};
}

}  // namespace libvellum::detail
