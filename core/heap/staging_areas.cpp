#include <vellum/heap/staging_areas.hpp>

#include <bit>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
StagingAreas<F>::StagingAreas(KernelSpace<F>& space, VirtRange range, ByteCount area_size)
    : space_(space),
      range_(range),
      area_size_(area_size),
      count_(static_cast<unsigned>(range.size().value() / area_size.value())) {
  VELLUM_CHECK(count_ > 0 && count_ <= kMost && area_size > kKept);
}

template <PageTableFormat F>
unsigned StagingAreas<F>::index_of(VirtRange area) const {
  VELLUM_CHECK(range_.contains(area) && area.size() == area_size_);
  return static_cast<unsigned>((area.start() - range_.start()).value() / area_size_.value());
}

template <PageTableFormat F>
std::optional<VirtRange> StagingAreas<F>::acquire() {
  const LockGuard guard(lock_);
  const auto index = static_cast<unsigned>(std::countr_one(held_));
  if (index >= count_) {
    return std::nullopt;
  }
  held_ |= 1U << index;
  return VirtRange::must(range_.start() + area_size_ * index, area_size_);
}

template <PageTableFormat F>
Result<void> StagingAreas<F>::grow(VirtRange area, ByteCount size) {
  ByteCount& backed = backed_[index_of(area)];
  const ByteCount wanted = bytes_of(pages_for(size));
  if (wanted > area_size_) {
    return Errno::out_of_range;
  }
  if (wanted > backed) {
    VELLUM_TRY(back_with_memory(space_, VirtRange::must(area.start() + backed, wanted - backed), Contents::any));
    backed = wanted;
  }
  return {};
}

template <PageTableFormat F>
void StagingAreas<F>::shrink(unsigned index, ByteCount size) {
  ByteCount& backed = backed_[index];
  if (backed > size) {
    const VirtAddr start = range_.start() + area_size_ * index;
    free_memory_behind(space_, VirtRange::must(start + size, backed - size));
    backed = size;
  }
}

template <PageTableFormat F>
void StagingAreas<F>::release(VirtRange area) {
  const unsigned index = index_of(area);
  shrink(index, kKept);
  const LockGuard guard(lock_);
  VELLUM_CHECK((held_ & 1U << index) != 0);
  held_ &= ~(1U << index);
}

template <PageTableFormat F>
void StagingAreas<F>::trim() {
  for (unsigned index = 0; index < count_; ++index) {
    shrink(index, ByteCount(0));
  }
}

#define VELLUM_COMPILE(F) template class StagingAreas<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
