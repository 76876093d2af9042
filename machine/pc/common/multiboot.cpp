#include <vellum/base/machine.hpp>
#include <vellum/pc/pvh.hpp>

namespace vellum::pc {

namespace {

struct Header {
  std::uint32_t size;
  std::uint32_t reserved;
};

struct Tag {
  std::uint32_t type;
  std::uint32_t size;  // without what aligns the next one to 8 bytes
};
constexpr std::uint32_t kEnd = 0;
constexpr std::uint32_t kCommandLine = 1;
constexpr std::uint32_t kModule = 3;
constexpr std::uint32_t kMemoryMap = 6;

struct ModuleTag {
  Tag tag;
  std::uint32_t start;
  std::uint32_t end;
};

// Rows of sizeof(MemoryRow) follow, in its form, if entry_size says so.
struct MemoryMapTag {
  Tag tag;
  std::uint32_t entry_size;
  std::uint32_t entry_version;
};

}  // namespace

Result<StartInfo> StartInfo::read_multiboot(PhysAddr address) {
  const auto& header = *direct_mapped<const Header>(address);
  StartInfo info;
  VELLUM_TRY(info.add_loader_range(address.value(), header.size));
  const PhysAddr end = address + ByteCount(header.size);
  for (PhysAddr at = address + ByteCount(sizeof(Header)); at + ByteCount(sizeof(Tag)) <= end;) {
    const auto& tag = *direct_mapped<const Tag>(at);
    if (tag.type == kEnd || tag.size < sizeof(Tag)) {
      break;
    }
    if (tag.type == kCommandLine) {
      info.command_line_ = reinterpret_cast<const char*>(&tag + 1);
    } else if (tag.type == kModule) {
      const auto& module = reinterpret_cast<const ModuleTag&>(tag);
      VELLUM_TRY(info.add_module(module.start, module.end - module.start));
    } else if (tag.type == kMemoryMap) {
      const auto& map = reinterpret_cast<const MemoryMapTag&>(tag);
      if (map.entry_size != sizeof(MemoryRow)) {
        return Errno::invalid;
      }
      info.memory_rows_ = reinterpret_cast<const MemoryRow*>(&map + 1);
      info.memory_rows_count_ = (tag.size - sizeof(MemoryMapTag)) / sizeof(MemoryRow);
    }
    at = (at + ByteCount(tag.size)).align_up(ByteCount(8));
  }
  if (info.memory_rows_ == nullptr) {
    return Errno::invalid;
  }
  return info;
}

}  // namespace vellum::pc
