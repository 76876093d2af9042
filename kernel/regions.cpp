#include "regions.hpp"

#include <algorithm>

#include "layout.hpp"

namespace vellum::kernel {

namespace {

using namespace literals;

constexpr unsigned kLeastWindows = 64;

constinit Regions* the_regions = nullptr;

}  // namespace

Regions::Regions(KernelSpace<Format>& kernel_space, PageSource& pages, Machine& machine)
    : space(kernel_space),
      metadata(pages, machine),
      kernel_heap({.name = "kernel heap", .largest_cached = 32_KiB}, space, metadata),
      heap_pages(kernel_heap),
      kernel_stacks(space, metadata),
      devices(space, metadata),
      arguments({.name = "arguments", .largest_cached = ByteCount(kPageSize)}, space, metadata),
      argument_pages(arguments),
      file_windows(space),
      io_addresses({.name = "segzio", .quantum = ByteCount(kPageSize)}, metadata),
      guest_addresses({.name = "segkvmm", .quantum = 1_MiB}, metadata),
      core_heap({.name = "core heap"}, space, metadata),
      heap_text({.name = "heap text"}, space, metadata) {}

Result<void> Regions::start(PhysicalMemory& memory) {
  // The first page of the heap is never given out.
  const VirtRange heap = region(RegionId::kernel_heap);
  const ByteCount page(kPageSize);
  VELLUM_TRY(kernel_heap.add_span(VirtRange::must(heap.start() + page, heap.size() - page)));
  VELLUM_TRY(kernel_stacks.add_span(region(RegionId::segkp)));
  VELLUM_TRY(devices.add_span(region(RegionId::device)));
  VELLUM_TRY(io_addresses.add_span(region(RegionId::segzio)));
  VELLUM_TRY(guest_addresses.add_span(region(RegionId::segkvmm)));
  VELLUM_TRY(core_heap.add_span(region(RegionId::core_heap)));
  VELLUM_TRY(heap_text.add_span(region(RegionId::heap_text)));
  // Not up to 2^64, so that what lies behind each range has an address.
  const VirtRange top = region(RegionId::arguments);
  VELLUM_TRY(arguments.add_span(VirtRange::must(top.start(), top.size() - page)));
  // Idle windows keep pages of files in memory, so there are fewer of them where there is little.
  const auto windows = static_cast<unsigned>(
      std::clamp(memory.total_count().value() / 64, std::uint64_t{kLeastWindows},
                 region(RegionId::segmap).size().value() / FileWindows<Format>::kWindowSize.value()));
  const VirtRange storage = VELLUM_TRY(kernel_heap.allocate(FileWindows<Format>::storage_size(windows)));
  VELLUM_TRY(file_windows.start(region(RegionId::segmap), {reinterpret_cast<std::byte*>(storage.start().value()),
                                                           static_cast<std::size_t>(storage.size().value())}));
  the_regions = this;
  return {};
}

Regions& regions() {
  VELLUM_ASSERT(the_regions != nullptr);
  return *the_regions;
}

}  // namespace vellum::kernel
