#include <vellum/heap/device_mappings.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

namespace {

// The largest page that lies wholly inside the range decides how its addresses have to be aligned: a place that is
// congruent to the physical one.
template <PageTableFormat F>
RangeConstraints congruent(PhysRange pages) {
  RangeConstraints constraints;
  for (unsigned level = 2; level <= F::kLevels && F::maps_pages(level); ++level) {
    const ByteCount size = bytes_of(entry_span<F>(level));
    if (pages.start().align_up(size) + size > pages.end()) {
      break;
    }
    constraints.alignment = size;
    constraints.phase = ByteCount(pages.start().value() & (size.value() - 1));
  }
  return constraints;
}

}  // namespace

template <PageTableFormat F>
Result<VirtRange> DeviceMappings<F>::map(PhysRange registers, Caching caching) {
  const PhysRange pages = pages_around(registers);
  const VirtRange range = VELLUM_TRY(addresses_.allocate(pages.size(), Fit::instant, congruent<F>(pages)));
  const Result<void> mapped = space_.map(
      range, pages.start(),
      {.rights = {.write = true, .execute = false, .user = false}, .caching = caching, .lifetime = Lifetime::global});
  if (!mapped.ok()) {
    addresses_.free(range);
    return mapped.error();
  }
  return VirtRange::must(range.start() + registers.start().offset_in_page(), registers.size());
}

template <PageTableFormat F>
void DeviceMappings<F>::unmap(VirtRange registers) {
  const VirtRange pages = pages_around(registers);
  space_.unmap(pages);
  addresses_.free(pages);
}

#define VELLUM_COMPILE(F) template class DeviceMappings<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
