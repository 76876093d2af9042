#include <vellum/heap/backed_arena.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

namespace {

constexpr WiredAttributes kData{
    .rights = {.write = true, .execute = false, .user = false}, .lifetime = Lifetime::global, .largest_level = 1};
constexpr ByteCount kPage{kPageSize};

}  // namespace

template <PageTableFormat F>
Result<VirtRange> BackedArena<F>::allocate(ByteCount size, Contents contents, ByteCount alignment) {
  const VirtRange range =
      VELLUM_TRY(alignment <= quantum_ ? addresses_.allocate(size)
                                       : addresses_.allocate(size, Fit::instant, {.alignment = alignment}));
  const Result<void> backed = back(range, contents);
  if (!backed.ok()) {
    addresses_.free(range);
    return backed.error();
  }
  return range;
}

template <PageTableFormat F>
void BackedArena<F>::free(VirtRange range) {
  strip(range);
  addresses_.free(range);
}

template <PageTableFormat F>
Result<VirtRange> BackedArena<F>::allocate_above_red_zone(ByteCount size, Contents contents) {
  const VirtRange whole = VELLUM_TRY(addresses_.allocate(bytes_of(pages_for(size)) + kPage));
  const VirtRange range = VirtRange::must(whole.start() + kPage, whole.size() - kPage);
  const Result<void> backed = back(range, contents);
  if (!backed.ok()) {
    addresses_.free(whole);
    return backed.error();
  }
  return range;
}

template <PageTableFormat F>
void BackedArena<F>::free_above_red_zone(VirtRange range) {
  strip(range);
  addresses_.free(with_red_zone(range));
}

template <PageTableFormat F>
Result<void> BackedArena<F>::back(VirtRange range, Contents contents) {
  PhysicalMemory& memory = space_.memory();
  for (ByteCount done; done < range.size(); done += kPage) {
    Result<void> mapped;
    const Result<Pfn> frame = memory.allocate(contents);
    if (frame.ok()) {
      mapped = space_.map(VirtRange::must(range.start() + done, kPage), address_of(frame.value()), kData);
      if (!mapped.ok()) {
        memory.free(frame.value());
      }
    } else {
      mapped = frame.error();
    }
    if (!mapped.ok()) {
      if (!done.is_zero()) {
        strip(VirtRange::must(range.start(), done));
      }
      return mapped;
    }
  }
  return {};
}

template <PageTableFormat F>
void BackedArena<F>::strip(VirtRange range) {
  PhysicalMemory& memory = space_.memory();
  // Chained through their descriptors until no CPU can reach them.
  Pfn chain = Frame::kNoFrame;
  for (ByteCount done; done < range.size(); done += kPage) {
    const std::optional<WiredPage> page = space_.find(range.start() + done);
    VELLUM_CHECK(page.has_value());
    Frame& frame = memory.frame(frame_of(page->address));
    VELLUM_CHECK(frame.release());
    frame.set_next(chain);
    chain = frame_of(page->address);
  }
  space_.unmap(range);
  while (chain != Frame::kNoFrame) {
    const Pfn next = memory.frame(chain).next();
    memory.free(chain);
    chain = next;
  }
}

#define VELLUM_COMPILE(F) template class BackedArena<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
