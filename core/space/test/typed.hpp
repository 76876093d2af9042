// What the tests of spaces share: they run once for every format.
#pragma once

#include <vector>

#include <vellum/test/test.hpp>

#include "fixture.hpp"

namespace vellum::test {

using AllFormats = ::testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;

inline constexpr Prot kRead = Prot::read();
inline constexpr Prot kReadWrite = Prot::read() | Prot::write();
inline constexpr Prot kReadExecute = Prot::read() | Prot::execute();

[[nodiscard]] constexpr ByteCount pages(std::uint64_t count) { return bytes_of(PageCount(count)); }

// A layout that leaves room below and above what a program may map: from page 4 to 4 pages before the half's end.
template <PageTableFormat F>
[[nodiscard]] SpaceLayout inner_layout() {
  SpaceLayout layout = whole_layout<F>();
  layout.user[0] = VirtRange::between(VirtAddr(4 * kPageSize), layout.user[0].end() - pages(3));
  layout.placement_top = layout.user[0].end();
  layout.placement_bottom = layout.user[0].start();
  return layout;
}

// All regions, in ascending order.
template <PageTableFormat F>
[[nodiscard]] std::vector<Region<F>> regions(AddressSpace<F>& space) {
  std::vector<Region<F>> all;
  VirtAddr from(0);
  for (;;) {
    const std::optional<Region<F>> region = space.region_at_or_after(from);
    if (!region) {
      return all;
    }
    all.push_back(*region);
    from = region->range.end();
  }
}

// Where each region is, for comparisons.
template <PageTableFormat F>
[[nodiscard]] std::vector<VirtRange> ranges(AddressSpace<F>& space) {
  std::vector<VirtRange> all;
  for (const Region<F>& region : regions(space)) {
    all.push_back(region.range);
  }
  return all;
}

}  // namespace vellum::test
