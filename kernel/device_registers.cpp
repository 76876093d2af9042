#include "device_registers.hpp"

#include "processor.hpp"

namespace vellum::kernel {

namespace {

constinit VirtAddr next_free{0xFFFFFE0600000000};

}  // namespace

Result<std::byte*> map_device_registers(PhysAddr address, ByteCount size) {
  Kernel& kernel = *processor().kernel;
  const ByteCount offset = address.offset_in_page();
  const VirtRange range = VirtRange::must(next_free, bytes_of(pages_for(offset + size)));
  const Tables<HardwareFormat> tables(kernel.virtual_memory.nodes);
  const WiredAttributes attributes{.rights = {.write = true, .execute = false, .user = false},
                                   .caching = Caching::uncached};
  VELLUM_TRY(map_wired(tables, kernel.tables.root(), range, address.page(), attributes));
  next_free = range.end();
  return reinterpret_cast<std::byte*>((range.start() + offset).value());
}

}  // namespace vellum::kernel
