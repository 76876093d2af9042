#include "boot_memory.hpp"

#include <vellum/pc/machine.hpp>

#include "image.hpp"

namespace vellum::kernel {

namespace {

using namespace literals;

constexpr std::size_t kMaxRows = 128;

Result<MemoryMap> firmware_map(const pc::StartInfo& start_info) {
  RawMemoryEntry rows[kMaxRows] = {};
  std::size_t count = 0;
  bool room = true;
  start_info.for_each_memory_row([&](const pc::MemoryRow& row) {
    room = room && count < kMaxRows;
    if (room) {
      rows[count++] = {.base = PhysAddr(row.start), .size = ByteCount(row.size), .kind = MemoryKind{row.type}};
    }
  });
  if (!room) {
    return Errno::no_space;
  }
  return MemoryMap::from_firmware({rows, count});
}

}  // namespace

Result<BootMemory> find_memory(const pc::StartInfo& start_info) {
  MemoryMap ram = VELLUM_TRY(firmware_map(start_info));
  VELLUM_TRY(ram.exclude(PhysRange::between(PhysAddr(pc::kDirectMapSize.value()), MemoryMap::kLimit)));

  MemoryMap usable = ram;
  VELLUM_TRY(usable.exclude(PhysRange::must(PhysAddr(0), 1_MiB)));
  VELLUM_TRY(usable.exclude(PhysRange::between(physical(image_text()).start(), physical(image_data()).end())));
  Result<void> excluded;
  start_info.for_each_loader_range([&](PhysRange range) {
    if (excluded.ok()) {
      excluded = usable.exclude(range);
    }
  });
  VELLUM_TRY(excluded);
  return BootMemory{.ram = ram, .usable = usable};
}

}  // namespace vellum::kernel
