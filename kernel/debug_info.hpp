// What stands in the debug-info page, for whoever looks at the kernel from outside: a hypervisor, a reader of a dump.
#pragma once

#include <cstdint>

namespace vellum::kernel {

// All numbers are 64 bits wide, in the processor's order. New fields go to the end, and make a new version.
struct DebugInfo {
  static constexpr std::uint64_t kMagic = 0x6F666E496C6C6556;  // "VellInfo"
  static constexpr std::uint64_t kVersion = 1;

  std::uint64_t magic;
  std::uint64_t version;
  std::uint64_t size;             // of this structure
  std::uint64_t root_table;       // physical address of the kernel's root table
  std::uint64_t table_levels;     // of page tables, with 512 entries of 8 bytes each
  std::uint64_t physical_top;     // one past the highest byte of memory
  std::uint64_t kernel_text;      // where the image's parts begin and end
  std::uint64_t kernel_text_end;  // of text and constants
  std::uint64_t kernel_data;
  std::uint64_t kernel_data_end;
  std::uint64_t image_offset;      // virtual minus physical address in the image
  std::uint64_t direct_map;        // SEGKPM_BASE
  std::uint64_t page_descriptors;  // valloc_base
  std::uint64_t page_descriptor_size;
  std::uint64_t kernel_base;
  std::uint64_t user_limit;
  std::uint64_t kernel_heap;
};

}  // namespace vellum::kernel
