#include "regions.hpp"

#include "layout.hpp"

namespace vellum::kernel {

namespace {

using namespace literals;

constinit Regions* the_regions = nullptr;

}  // namespace

Regions::Regions(KernelSpace<Format>& space, PageSource& pages, Machine& machine)
    : metadata(pages, machine),
      kernel_heap({.name = "kernel heap", .largest_cached = 32_KiB}, space, metadata),
      heap_pages(kernel_heap),
      kernel_stacks(space, metadata),
      devices(space, metadata),
      io_buffers({.name = "segzio", .largest_cached = 32_KiB}, space, metadata),
      guest_memory({.name = "segkvmm", .quantum = 1_MiB, .largest_cached = 1_MiB}, space, metadata),
      core_heap({.name = "core heap"}, space, metadata) {}

Result<void> Regions::start() {
  // The first page of the heap is never given out.
  const VirtRange heap = region(RegionId::kernel_heap);
  const ByteCount page(kPageSize);
  VELLUM_TRY(kernel_heap.add_span(VirtRange::must(heap.start() + page, heap.size() - page)));
  VELLUM_TRY(kernel_stacks.add_span(region(RegionId::segkp)));
  VELLUM_TRY(devices.add_span(region(RegionId::device)));
  VELLUM_TRY(io_buffers.add_span(region(RegionId::segzio)));
  VELLUM_TRY(guest_memory.add_span(region(RegionId::segkvmm)));
  VELLUM_TRY(core_heap.add_span(region(RegionId::core_heap)));
  the_regions = this;
  return {};
}

Regions& regions() {
  VELLUM_ASSERT(the_regions != nullptr);
  return *the_regions;
}

}  // namespace vellum::kernel
