#include <vellum/heap/backed_pages.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

namespace {

constexpr WiredAttributes kData{
    .rights = {.write = true, .execute = false, .user = false}, .lifetime = Lifetime::global, .largest_level = 1};
constexpr ByteCount kPage{kPageSize};

}  // namespace

template <PageTableFormat F>
void free_memory_behind(KernelSpace<F>& space, VirtRange range) {
  PhysicalMemory& memory = space.memory();
  // Chained through their descriptors until no CPU can reach them.
  Pfn chain = Frame::kNoFrame;
  for (ByteCount done; done < range.size(); done += kPage) {
    const std::optional<WiredPage> page = space.find(range.start() + done);
    VELLUM_CHECK(page.has_value());
    Frame& frame = memory.frame(frame_of(page->address));
    VELLUM_CHECK(frame.release());
    frame.set_next(chain);
    chain = frame_of(page->address);
  }
  space.unmap(range);
  while (chain != Frame::kNoFrame) {
    const Pfn next = memory.frame(chain).next();
    memory.free(chain);
    chain = next;
  }
}

template <PageTableFormat F>
Result<void> back_with_memory(KernelSpace<F>& space, VirtRange range, Contents contents) {
  PhysicalMemory& memory = space.memory();
  for (ByteCount done; done < range.size(); done += kPage) {
    Result<void> mapped;
    const Result<Pfn> frame = memory.allocate(contents);
    if (frame.ok()) {
      mapped = space.map(VirtRange::must(range.start() + done, kPage), address_of(frame.value()), kData);
      if (!mapped.ok()) {
        memory.free(frame.value());
      }
    } else {
      mapped = frame.error();
    }
    if (!mapped.ok()) {
      if (!done.is_zero()) {
        free_memory_behind(space, VirtRange::must(range.start(), done));
      }
      return mapped;
    }
  }
  return {};
}

#define VELLUM_COMPILE(F)                                                          \
  template Result<void> back_with_memory<F>(KernelSpace<F>&, VirtRange, Contents); \
  template void free_memory_behind<F>(KernelSpace<F>&, VirtRange);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
