// Between the core's vocabulary and the public header's.
#pragma once

#include <optional>

#include <vellum/base/prot.hpp>
#include <vellum/base/result.hpp>
#include <vellum/hosted/cpu.hpp>
#include <vellum/layout/address_map.hpp>
#include <vellum/space/space.hpp>
#include <vellum/vellum.hpp>

namespace libvellum::detail {

[[nodiscard]] constexpr vellum::Prot prot_of(Rights rights) {
  return vellum::Prot::from_bits((rights.read ? 1U : 0U) | (rights.write ? 2U : 0U) | (rights.execute ? 4U : 0U));
}
[[nodiscard]] constexpr Rights rights_of(vellum::Prot prot) {
  return {.read = prot.can_read(), .write = prot.can_write(), .execute = prot.can_execute()};
}

// Of the core's calls.
[[nodiscard]] Error error_of(vellum::Errno error);
// Of an access that was refused: a page fault with its verdict, or one that has none (general protection).
[[nodiscard]] Error error_of(const vellum::hosted::Fault& fault, vellum::FaultVerdict verdict);

[[nodiscard]] constexpr vellum::Arch arch_of(Format format) {
  return format == Format::amd64 ? vellum::Arch::amd64 : vellum::Arch::i386;
}

// The map of a machine; nothing where the format has no such layout.
[[nodiscard]] std::optional<vellum::AddressMap> address_map_of(const MachineOptions& machine, UserLayout layout);
// What programs of that map may have where.
[[nodiscard]] vellum::SpaceLayout space_layout_of(const vellum::AddressMap& map);
[[nodiscard]] LayoutRegion layout_region_of(const vellum::LayoutRegion& region);
// All but what is mapped.
[[nodiscard]] std::optional<Explanation> explain(const vellum::AddressMap& map, std::uint64_t address);

}  // namespace libvellum::detail
