// ARGSBASE: a few equal areas in which one thread after the other gathers something of unknown size, each backed only
// as far as its holder needs.
#pragma once

#include <vellum/base/lock.hpp>
#include <vellum/heap/backed_pages.hpp>

namespace vellum {

template <PageTableFormat F>
class StagingAreas {
 public:
  static constexpr unsigned kMost = 8;
  // Of each area, so many bytes stay backed for the next holder.
  static constexpr ByteCount kKept{4 * kPageSize};

  // Cuts `range` into areas of `area_size`, whole pages, of which there are at most kMost.
  StagingAreas(KernelSpace<F>& space, VirtRange range, ByteCount area_size);
  // No area may be held, and trim() must have been called.
  ~StagingAreas() { VELLUM_ASSERT(held_ == 0); }
  StagingAreas(const StagingAreas&) = delete;
  StagingAreas& operator=(const StagingAreas&) = delete;

  // An area of which nothing is promised to be usable yet; nothing where all are held.
  [[nodiscard]] std::optional<VirtRange> acquire() VELLUM_EXCLUDES(lock_);
  // Makes the first `size` bytes of a held area usable, at least; what they hold is undefined where they were not
  // usable before. Errors: out_of_range beyond the area, no_memory; then as many bytes are usable as before.
  [[nodiscard]] Result<void> grow(VirtRange area, ByteCount size);
  void release(VirtRange area) VELLUM_EXCLUDES(lock_);

  // Frees what unused areas keep. Nobody may hold an area.
  void trim();

 private:
  [[nodiscard]] unsigned index_of(VirtRange area) const;
  void shrink(unsigned index, ByteCount size);

  KernelSpace<F>& space_;
  const VirtRange range_;
  const ByteCount area_size_;
  const unsigned count_;
  Spinlock lock_{LockRank::leaf};
  unsigned held_ VELLUM_GUARDED_BY(lock_) = 0;  // a bit for each area
  ByteCount backed_[kMost];                     // only an area's holder touches its own
};

}  // namespace vellum
