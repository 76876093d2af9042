// A region of the kernel half of which every allocated page is memory: kernel heap, core heap, segzio, segkvmm, segkp.
#pragma once

#include <vellum/arena/cached_arena.hpp>
#include <vellum/arena/page_source.hpp>
#include <vellum/heap/kernel_space.hpp>

namespace vellum {

struct BackedArenaConfig {
  const char* name;                          // outlives the arena
  ByteCount quantum = ByteCount(kPageSize);  // a power of two, at least a page
  // Addresses of up to this size are kept at hand for each CPU, at most CachedArena::kMostSizes quanta.
  ByteCount largest_cached = ByteCount(4 * kPageSize);
};

// Pages are mapped read-write and never executable.
template <PageTableFormat F>
class BackedArena {
 public:
  BackedArena(const BackedArenaConfig& config, KernelSpace<F>& space, ArenaMetadata& metadata)
      : space_(space),
        addresses_({.name = config.name, .quantum = config.quantum}, config.largest_cached, metadata),
        quantum_(config.quantum) {}
  BackedArena(const BackedArena&) = delete;
  BackedArena& operator=(const BackedArena&) = delete;

  // Makes a range of the region's addresses allocatable. Errors: as Arena::add_span.
  [[nodiscard]] Result<void> add_span(VirtRange span) { return addresses_.add_span(span); }

  // Memory of `size` bytes, rounded up to the quantum; what it contains is as `contents` says. The start is a multiple
  // of `alignment`, a power of two. Errors: invalid (no size), no_memory, with nothing changed.
  [[nodiscard]] Result<VirtRange> allocate(ByteCount size, Contents contents = Contents::any,
                                           ByteCount alignment = ByteCount(kPageSize));
  // Takes back a whole range of allocate().
  void free(VirtRange range);

  // The same, above a page that is never mapped: whoever runs below the range faults.
  [[nodiscard]] Result<VirtRange> allocate_above_red_zone(ByteCount size, Contents contents = Contents::any);
  void free_above_red_zone(VirtRange range);

  // Gives the addresses that are kept at hand back.
  void trim() { addresses_.trim(); }
  // The same for all CPUs' and the memory that keeping takes. Nobody may use the arena meanwhile.
  void reap() { addresses_.reap(); }

  // Bytes of addresses in use, red zones included. Exact while nobody allocates or frees.
  [[nodiscard]] ByteCount in_use() const { return addresses_.in_use(); }
  [[nodiscard]] ByteCount total() const { return addresses_.total(); }

 private:
  [[nodiscard]] static VirtRange with_red_zone(VirtRange range) {
    return VirtRange::must(range.start() - ByteCount(kPageSize), range.size() + ByteCount(kPageSize));
  }

  KernelSpace<F>& space_;
  CachedArena addresses_;
  const ByteCount quantum_;
};

// Pages for users that hold no lock of rank `node` or later, but for object caches, which ask without a lock. A few
// single pages are kept mapped for the next who asks.
template <PageTableFormat F>
class HeapPages final : public PageSource {
 public:
  static constexpr unsigned kMostIdle = 16;

  explicit HeapPages(BackedArena<F>& heap) : heap_(heap) {}
  // trim() must have been called.
  ~HeapPages() = default;

  Result<std::byte*> allocate(unsigned order) override VELLUM_EXCLUDES(lock_);
  void free(std::byte* block, unsigned order) override VELLUM_EXCLUDES(lock_);
  // Gives the pages that are kept back to the arena.
  void trim() VELLUM_EXCLUDES(lock_);

 private:
  [[nodiscard]] std::byte* take_idle() VELLUM_EXCLUDES(lock_);

  BackedArena<F>& heap_;
  Spinlock lock_{LockRank::leaf};
  std::byte* idle_[kMostIdle] VELLUM_GUARDED_BY(lock_);
  unsigned idle_count_ VELLUM_GUARDED_BY(lock_) = 0;
};

}  // namespace vellum
