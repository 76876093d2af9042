#include <vellum/base/machine.hpp>
#include <vellum/pc/pvh.hpp>

namespace vellum::pc {

namespace {

constexpr std::uint32_t kMagic = 0x336EC578;

struct RawStartInfo {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t flags;
  std::uint32_t module_count;
  std::uint64_t modules;
  std::uint64_t command_line;
  std::uint64_t acpi_root;
  // From version 1 on.
  std::uint64_t memory_map;
  std::uint32_t memory_map_rows;
  std::uint32_t reserved;
};
static_assert(sizeof(RawStartInfo) == 56);

struct RawModule {
  std::uint64_t start;
  std::uint64_t size;
  std::uint64_t command_line;
  std::uint64_t reserved;
};
static_assert(sizeof(RawModule) == 32);

}  // namespace

Result<void> StartInfo::add_loader_range(std::uint64_t start, std::uint64_t size) {
  if (loader_range_count_ == kMaxLoaderRanges) {
    return Errno::no_space;
  }
  loader_ranges_[loader_range_count_] = VELLUM_TRY(PhysRange::checked(PhysAddr(start), ByteCount(size)));
  ++loader_range_count_;
  return {};
}

Result<void> StartInfo::add_module(std::uint64_t start, std::uint64_t size) {
  VELLUM_TRY(add_loader_range(start, size));
  if (first_module_.empty()) {
    first_module_ = loader_ranges_[loader_range_count_ - 1];
  }
  return {};
}

Result<StartInfo> StartInfo::read(PhysAddr address, BootProtocol protocol) {
  return protocol == BootProtocol::pvh ? read_pvh(address) : read_multiboot(address);
}

Result<StartInfo> StartInfo::read_pvh(PhysAddr address) {
  const auto& raw = *direct_mapped<const RawStartInfo>(address);
  if (raw.magic != kMagic || raw.version < 1 || raw.memory_map == 0) {
    return Errno::invalid;
  }
  StartInfo info;
  info.memory_rows_ = direct_mapped<const MemoryRow>(PhysAddr(raw.memory_map));
  info.memory_rows_count_ = raw.memory_map_rows;
  VELLUM_TRY(info.add_loader_range(address.value(), sizeof(RawStartInfo)));
  VELLUM_TRY(info.add_loader_range(raw.memory_map, raw.memory_map_rows * sizeof(MemoryRow)));
  if (raw.command_line != 0) {
    info.command_line_ = direct_mapped<const char>(PhysAddr(raw.command_line));
    std::uint64_t length = 0;
    while (info.command_line_[length] != '\0') {
      ++length;
    }
    VELLUM_TRY(info.add_loader_range(raw.command_line, length + 1));
  }
  const auto* modules = direct_mapped<const RawModule>(PhysAddr(raw.modules));
  for (std::uint32_t i = 0; i < raw.module_count; ++i) {
    VELLUM_TRY(info.add_module(modules[i].start, modules[i].size));
  }
  return info;
}

}  // namespace vellum::pc
