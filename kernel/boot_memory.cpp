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

Result<MemoryMap> usable_memory(const pc::StartInfo& start_info) {
  MemoryMap map = VELLUM_TRY(firmware_map(start_info));
  const PhysAddr reached{pc::kDirectMapSize.value()};
  VELLUM_TRY(map.exclude(PhysRange::between(PhysAddr(0), PhysAddr((1_MiB).value()))));
  VELLUM_TRY(map.exclude(PhysRange::between(reached, MemoryMap::kLimit)));
  VELLUM_TRY(map.exclude(PhysRange::between(physical(image_text()).start(), physical(image_data()).end())));
  Result<void> excluded;
  start_info.for_each_loader_range([&](PhysRange range) {
    if (excluded.ok()) {
      excluded = map.exclude(range);
    }
  });
  VELLUM_TRY(excluded);
  return map;
}

}  // namespace vellum::kernel
