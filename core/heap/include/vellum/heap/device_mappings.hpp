// Registers of devices, all in one region: a read of them may already change what a device does, so whoever walks
// through memory (a debugger, a dump) has one region to keep away from.
#pragma once

#include <vellum/arena/arena.hpp>
#include <vellum/heap/kernel_space.hpp>

namespace vellum {

template <PageTableFormat F>
class DeviceMappings {
 public:
  DeviceMappings(KernelSpace<F>& space, ArenaMetadata& metadata)
      : space_(space), addresses_({.name = "device", .quantum = ByteCount(kPageSize)}, metadata) {}
  DeviceMappings(const DeviceMappings&) = delete;
  DeviceMappings& operator=(const DeviceMappings&) = delete;

  [[nodiscard]] Result<void> add_span(VirtRange span) { return addresses_.add_span(span); }

  // Maps the pages that hold `registers`; the result is the bytes of `registers` themselves. Pages are as large as the
  // alignment of the physical range permits. Errors: no_memory.
  [[nodiscard]] Result<VirtRange> map(PhysRange registers, Caching caching = Caching::uncached);
  // Takes back what map() returned.
  void unmap(VirtRange registers);

  [[nodiscard]] ByteCount in_use() const { return addresses_.in_use(); }

 private:
  // The pages around a range.
  template <class R>
  [[nodiscard]] static R pages_around(R range) {
    return R::between(range.start().page(), range.end().align_up(ByteCount(kPageSize)));
  }

  KernelSpace<F>& space_;
  Arena addresses_;
};

}  // namespace vellum
