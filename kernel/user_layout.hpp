// Where programs may have what, on the processor that the kernel is built for.
#pragma once

#include <vellum/layout/fixed_addresses.hpp>
#include <vellum/space/layout.hpp>

#include "layout.hpp"

namespace vellum::kernel {

#if defined(__x86_64__)
inline constexpr VirtAddr kUserText = amd64_layout::kUserText;
[[nodiscard]] inline VirtAddr user_limit() { return address_map().landmarks().user_limit; }
#else
inline constexpr VirtAddr kUserText = i386_layout::kUserText;
// The value that the layout's table shows; inside an entry of the root table, of which the upper part is the kernel's.
[[nodiscard]] constexpr VirtAddr user_limit() { return VirtAddr(0xC3000000); }
#endif

// Mappings without an address are placed downwards from the user limit.
[[nodiscard]] inline SpaceLayout user_layout() {
  SpaceLayout layout;
  layout.placement_top = user_limit();
#if defined(__x86_64__)
  layout.placement_bottom = amd64_layout::kHoleEnd;
  layout.user[0] = VirtRange::between(kLowestUserAddress, amd64_layout::kHoleGuard);
  layout.user[1] = VirtRange::between(amd64_layout::kHoleEnd, user_limit());
#else
  layout.placement_bottom = kUserText;
  layout.user[0] = VirtRange::between(kLowestUserAddress, user_limit());
#endif
  return layout;
}

}  // namespace vellum::kernel
