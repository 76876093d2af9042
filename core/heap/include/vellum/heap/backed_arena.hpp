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

// Pages for object caches whose users hold no lock of rank `node` or later.
template <PageTableFormat F>
class HeapPages final : public PageSource {
 public:
  explicit HeapPages(BackedArena<F>& heap) : heap_(heap) {}

  Result<std::byte*> allocate(unsigned order) override {
    const ByteCount size(kPageSize << order);
    const VirtRange range = VELLUM_TRY(heap_.allocate(size, Contents::any, size));
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(range.start().value()));
  }
  void free(std::byte* block, unsigned order) override {
    heap_.free(VirtRange::must(VirtAddr(reinterpret_cast<std::uintptr_t>(block)), ByteCount(kPageSize << order)));
  }

 private:
  BackedArena<F>& heap_;
};

}  // namespace vellum
