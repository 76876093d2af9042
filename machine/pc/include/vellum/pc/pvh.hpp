// What the loader tells the kernel: by PVH, the structures of the HVM direct boot ABI
// [xen/include/public/arch-x86/hvm/start_info.h]; or by Multiboot2, which GRUB speaks [multiboot2 specification, 3.6].
#pragma once

#include <cstdint>

#include <vellum/base/range.hpp>

namespace vellum::pc {

// A row of the firmware's memory map; rows may overlap, touch, and come in any order.
struct MemoryRow {
  std::uint64_t start;
  std::uint64_t size;
  std::uint32_t type;
  std::uint32_t reserved;

  [[nodiscard]] bool is_ram() const { return type == 1; }
};
static_assert(sizeof(MemoryRow) == 24);

// Which of them the kernel was started by; the boot stub says so.
enum class BootProtocol : std::uint32_t { pvh = 0, multiboot2 = 1 };

class StartInfo {
 public:
  // The structure at a physical address in the direct map. Errors: invalid where it has not the magic number or has no
  // memory map.
  [[nodiscard]] static Result<StartInfo> read(PhysAddr address, BootProtocol protocol);

  // Calls visit(const MemoryRow&) for each row of the memory map.
  template <class Visitor>
  void for_each_memory_row(Visitor visit) const {
    for (std::uint32_t i = 0; i < memory_rows_count_; ++i) {
      visit(memory_rows_[i]);
    }
  }
  // Calls visit(PhysRange) for each place that the loader filled and the kernel has yet to read: this structure, its
  // command line, the memory map, the modules.
  template <class Visitor>
  void for_each_loader_range(Visitor visit) const {
    for (unsigned i = 0; i < loader_range_count_; ++i) {
      visit(loader_ranges_[i]);
    }
  }
  // Zero-terminated; empty where the loader gave none.
  [[nodiscard]] const char* command_line() const { return command_line_; }
  // Files that the loader put into memory: the initial archive is the first. Empty where there is none.
  [[nodiscard]] PhysRange first_module() const { return first_module_; }

 private:
  static constexpr unsigned kMaxLoaderRanges = 8;

  StartInfo() = default;
  [[nodiscard]] static Result<StartInfo> read_pvh(PhysAddr address);
  [[nodiscard]] static Result<StartInfo> read_multiboot(PhysAddr address);
  Result<void> add_module(std::uint64_t start, std::uint64_t size);
  Result<void> add_loader_range(std::uint64_t start, std::uint64_t size);

  const MemoryRow* memory_rows_ = nullptr;
  std::uint32_t memory_rows_count_ = 0;
  const char* command_line_ = "";
  PhysRange first_module_;
  PhysRange loader_ranges_[kMaxLoaderRanges];
  unsigned loader_range_count_ = 0;
};

}  // namespace vellum::pc
