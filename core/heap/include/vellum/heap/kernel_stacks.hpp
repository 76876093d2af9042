// segkp: kernel stacks, each above a page that is never mapped, so that a stack that overflows faults instead of
// writing into its neighbour.
#pragma once

#include <vellum/base/lock.hpp>
#include <vellum/heap/backed_arena.hpp>

namespace vellum {

template <PageTableFormat F>
class KernelStacks {
 public:
  // DEFAULTSTKSZ [illumos, sys/machparam.h].
  static constexpr ByteCount kStackSize{5 * kPageSize};
  // Stacks that are kept mapped for the next thread, so that making one touches no table and no TLB.
  static constexpr unsigned kMostIdle = 32;

  KernelStacks(KernelSpace<F>& space, ArenaMetadata& metadata)
      : arena_({.name = "segkp", .largest_cached = kStackSize + ByteCount(kPageSize)}, space, metadata) {}
  // Every stack must have been freed, and trim() called.
  ~KernelStacks() { VELLUM_ASSERT(idle_count_ == 0); }
  KernelStacks(const KernelStacks&) = delete;
  KernelStacks& operator=(const KernelStacks&) = delete;

  [[nodiscard]] Result<void> add_span(VirtRange span) { return arena_.add_span(span); }

  // A stack, whose contents are undefined. Error: no_memory.
  [[nodiscard]] Result<VirtRange> allocate() VELLUM_EXCLUDES(lock_);
  // The stack must not be the one that the caller runs on.
  void free(VirtRange stack) VELLUM_EXCLUDES(lock_);

  // Gives the idle stacks' memory back.
  void trim() VELLUM_EXCLUDES(lock_);
  // The same, and the memory that keeping takes. Nobody may use the stacks meanwhile.
  void reap() VELLUM_EXCLUDES(lock_);

  // Bytes of the region in use, red zones included, idle stacks too.
  [[nodiscard]] ByteCount in_use() const { return arena_.in_use(); }
  [[nodiscard]] ByteCount total() const { return arena_.total(); }

 private:
  [[nodiscard]] std::optional<VirtRange> take_idle() VELLUM_EXCLUDES(lock_);

  BackedArena<F> arena_;
  Spinlock lock_{LockRank::leaf};
  VirtAddr idle_[kMostIdle] VELLUM_GUARDED_BY(lock_);
  unsigned idle_count_ VELLUM_GUARDED_BY(lock_) = 0;
};

}  // namespace vellum
