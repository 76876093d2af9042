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

template <PageTableFormat F>
std::byte* HeapPages<F>::take_idle() {
  const LockGuard guard(lock_);
  return idle_count_ == 0 ? nullptr : idle_[--idle_count_];
}

template <PageTableFormat F>
Result<std::byte*> HeapPages<F>::allocate(unsigned order) {
  if (order == 0) {
    if (std::byte* const page = take_idle()) {
      return page;
    }
  }
  const ByteCount size(kPageSize << order);
  const VirtRange range = VELLUM_TRY(heap_.allocate(size, Contents::any, size));
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(range.start().value()));
}

template <PageTableFormat F>
void HeapPages<F>::free(std::byte* block, unsigned order) {
  if (order == 0) {
    const LockGuard guard(lock_);
    if (idle_count_ < kMostIdle) {
      idle_[idle_count_++] = block;
      return;
    }
  }
  heap_.free(VirtRange::must(VirtAddr(reinterpret_cast<std::uintptr_t>(block)), ByteCount(kPageSize << order)));
}

template <PageTableFormat F>
void HeapPages<F>::trim() {
  while (std::byte* const page = take_idle()) {
    heap_.free(VirtRange::must(VirtAddr(reinterpret_cast<std::uintptr_t>(page)), kPage));
  }
}

#define VELLUM_COMPILE(F)        \
  template class BackedArena<F>; \
  template class HeapPages<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
