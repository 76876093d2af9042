#include <vellum/heap/backed_arena.hpp>
#include <vellum/heap/backed_pages.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

namespace {

constexpr ByteCount kPage{kPageSize};

}  // namespace

template <PageTableFormat F>
Result<VirtRange> BackedArena<F>::allocate(ByteCount size, Contents contents, ByteCount alignment) {
  const VirtRange range =
      VELLUM_TRY(alignment <= quantum_ ? addresses_.allocate(size)
                                       : addresses_.allocate(size, Fit::instant, {.alignment = alignment}));
  const Result<void> backed = back_with_memory(space_, range, contents);
  if (!backed.ok()) {
    addresses_.free(range);
    return backed.error();
  }
  return range;
}

template <PageTableFormat F>
void BackedArena<F>::free(VirtRange range) {
  free_memory_behind(space_, range);
  addresses_.free(range);
}

template <PageTableFormat F>
Result<VirtRange> BackedArena<F>::allocate_above_red_zone(ByteCount size, Contents contents) {
  const VirtRange whole = VELLUM_TRY(addresses_.allocate(bytes_of(pages_for(size)) + kPage));
  const VirtRange range = VirtRange::must(whole.start() + kPage, whole.size() - kPage);
  const Result<void> backed = back_with_memory(space_, range, contents);
  if (!backed.ok()) {
    addresses_.free(whole);
    return backed.error();
  }
  return range;
}

template <PageTableFormat F>
void BackedArena<F>::free_above_red_zone(VirtRange range) {
  free_memory_behind(space_, range);
  addresses_.free(with_red_zone(range));
}

#define VELLUM_COMPILE(F) template class BackedArena<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
