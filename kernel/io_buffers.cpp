#include "io_buffers.hpp"

#include <bit>

#include <vellum/pc/machine.hpp>

#include "layout.hpp"
#include "regions.hpp"

namespace vellum::kernel {

namespace {

constexpr WiredAttributes kData{
    .rights = {.write = true, .execute = false, .user = false}, .lifetime = Lifetime::global, .largest_level = 1};

}  // namespace

Result<IoBuffer> allocate_io_buffer(Order order) {
  Regions& all = regions();
  PhysicalMemory& memory = all.space.memory();
  const VirtRange range = VELLUM_TRY(all.io_addresses.allocate(bytes_of(order.pages())));
  const Result<Pfn> first = memory.allocate_block(order, Contents::zeroed);
  if (!first.ok()) {
    all.io_addresses.free(range);
    return first.error();
  }
  const Result<void> mapped = all.space.map(range, address_of(first.value()), kData);
  if (!mapped.ok()) {
    memory.free_block(first.value(), order);
    all.io_addresses.free(range);
    return mapped.error();
  }
  return IoBuffer{.range = range, .address = address_of(first.value())};
}

void free_io_buffer(const IoBuffer& buffer) {
  Regions& all = regions();
  all.space.unmap(buffer.range);
  const auto order = static_cast<unsigned>(std::countr_zero(whole_pages(buffer.range.size()).value()));
  all.space.memory().free_block(frame_of(buffer.address), Order(order));
  all.io_addresses.free(buffer.range);
}

PhysAddr physical_address(const std::byte* bytes) {
  const VirtAddr address(reinterpret_cast<std::uintptr_t>(bytes));
  if (region(RegionId::segkpm).contains(address)) {
    return PhysAddr((address - pc::direct_map()).value());
  }
  const std::optional<WiredPage> page = regions().space.find(address);
  VELLUM_CHECK(page.has_value());
  return page->address;
}

}  // namespace vellum::kernel
