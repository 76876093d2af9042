// Where programs may have what, on the processor that the kernel is built for.
#pragma once

#include <vellum/layout/fixed_addresses.hpp>
#include <vellum/space/layout.hpp>

namespace vellum::kernel {

// Mappings are placed downwards from the user limit. On i386 that is 3 GB: the user half ends with an entry of the root
// table, because those above it are the kernel's.
[[nodiscard]] inline SpaceLayout user_layout() {
  SpaceLayout layout;
#if defined(__x86_64__)
  using namespace amd64_layout;
  layout.placement_top = kSegkpmBase - kRedZoneSize - kLimitGap;
  layout.placement_bottom = kHoleEnd;
  layout.user[0] = VirtRange::between(kLowestUserAddress, kHoleGuard);
  layout.user[1] = VirtRange::between(kHoleEnd, layout.placement_top);
#else
  using namespace i386_layout;
  layout.placement_top = kAbiMinKernelbase;
  layout.placement_bottom = kUserText;
  layout.user[0] = VirtRange::between(kLowestUserAddress, layout.placement_top);
#endif
  return layout;
}

#if defined(__x86_64__)
inline constexpr VirtAddr kUserText = amd64_layout::kUserText;
#else
inline constexpr VirtAddr kUserText = i386_layout::kUserText;
#endif

}  // namespace vellum::kernel
