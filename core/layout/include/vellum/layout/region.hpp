// What a layout's table says of one region. Enums instead of prose wherever code decides by it; prose only where people
// read it.
#pragma once

#include <cstdint>
#include <span>

#include <vellum/base/prot.hpp>
#include <vellum/base/range.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

enum class Arch : std::uint8_t { amd64, i386 };

// How the user half of a space is divided.
enum class UserModel : std::uint8_t {
  illumos,    // the tables: amd64 with stack and shared objects above the hole, i386 with the stack below the text
  linux_low,  // amd64 only: everything below 2^47, as Linux does, for runtimes that keep tags in pointers
  program32,  // amd64 only: a 32-bit program on the 64-bit kernel
};

enum class RegionId : std::uint8_t {
  arguments,
  debugger,
  kernel_data,
  kernel_text,
  debug_info,
  gdt,
  idt,
  ldt,
  tss,
  double_fault_tss,
  heap_text,
  core_heap,
  kernel_heap,
  segmap,
  device,
  segzio,
  segkvmm,
  segkp,
  valloc,
  segkpm_room,
  segkpm,
  red_zone,
  limit_gap,
  user_stack,
  stack_guard,
  stack_room,
  shared_objects,
  out_of_reach,
  va_hole,
  hole_guard,
  user_memory,
  user_heap,
  user_data,
  user_text,
  low_programs,
  invalid,
  unused,  // what no row claims
};

enum class RegionPlacement : std::uint8_t {
  fixed,           // the same address on every machine
  fixed_or_lower,  // fixed up to 256 GB of memory, lower beyond
  derived,         // at a fixed distance from a fixed address
  floating,        // computed from the memory size
  by_program,      // wherever the program's own size puts it
};

enum class Growth : std::uint8_t { none, up, down };

// Who has any business in a region.
enum class Accessor : std::uint8_t { nobody, user, kernel };

// The page sizes that a region is mapped with: any mix.
class PageSizes {
 public:
  [[nodiscard]] static constexpr PageSizes none() { return PageSizes(0); }
  [[nodiscard]] static constexpr PageSizes small() { return PageSizes(1); }     // 4 KB
  [[nodiscard]] static constexpr PageSizes large() { return PageSizes(2); }     // 2 MB
  [[nodiscard]] static constexpr PageSizes up_to_2m() { return PageSizes(3); }  // 4 KB, 2 MB
  [[nodiscard]] static constexpr PageSizes up_to_1g() { return PageSizes(7); }  // 4 KB, 2 MB, 1 GB
  [[nodiscard]] constexpr bool has_4k() const { return (bits_ & 1U) != 0; }
  [[nodiscard]] constexpr bool has_2m() const { return (bits_ & 2U) != 0; }
  [[nodiscard]] constexpr bool has_1g() const { return (bits_ & 4U) != 0; }

 private:
  constexpr explicit PageSizes(std::uint8_t bits) : bits_(bits) {}

  std::uint8_t bits_;
};

// What a fault means in a region, when the access itself was one that the row permits. An access that it does not
// permit is always an error of the one who made it.
enum class StrayAccess : std::uint8_t {
  never_mapped,   // nothing is ever mapped: every access faults, and only a user copy recovers (EFAULT)
  non_canonical,  // the processor refuses the address itself: a general-protection fault, not a page fault
  wired,          // what is in use is mapped; a fault there is a bug in the kernel
  toxic,          // device registers: an access succeeds and may change the device
  direct_map,     // all memory is mapped for good; a fault means a physical address without memory
  kernel_stacks,  // pages come back from swap; the lowest page of each allocation is a red zone
  file_window,    // the fault brings in the file's page; an empty slot is an I/O error
  user_mapping,   // as the space's mappings say: filled, copied, or SIGSEGV
  user_stack,     // the fault grows the stack
};

// An address that a row refers to and that is not the same on every machine. Computed by layout/address_map.cpp.
struct Landmarks {
  VirtAddr valloc_base;
  VirtAddr valloc_end;
  VirtAddr segkpm_base;
  VirtAddr segkpm_end;  // of what is mapped: the room reaches to valloc_base
  VirtAddr segkp_base;
  VirtAddr segkvmm_base;
  VirtAddr segzio_base;
  VirtAddr toxic_addr;
  VirtAddr segmap_start;
  VirtAddr kernelheap;
  VirtAddr ekernelheap;  // end of the kernel heap; on i386 the 64 MB of heap text lie above it
  VirtAddr kernelbase;
  VirtAddr user_limit;  // of a program of the kernel's own width
  // The user half.
  VirtAddr stack_top;
  VirtAddr stack_start;  // as low as the stack limit lets it grow
  VirtAddr guard_start;  // of the gap kept free beneath it
  VirtAddr mapping_top;  // mappings without a wish are placed downwards from here
};

// One end of a row: an address known in advance, or one of the landmarks.
class Bound {
 public:
  constexpr Bound(VirtAddr fixed) : fixed_(fixed) {}                        // NOLINT(google-explicit-constructor)
  constexpr Bound(VirtAddr Landmarks::* landmark) : landmark_(landmark) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr VirtAddr in(const Landmarks& landmarks) const {
    return landmark_ == nullptr ? fixed_ : landmarks.*landmark_;
  }

 private:
  VirtAddr fixed_;
  VirtAddr Landmarks::* landmark_ = nullptr;
};

enum class RowKind : std::uint8_t {
  region,
  // Lives inside the region above it in the table, without borders of its own: drawn, and told of, but not looked up.
  part,
};

// A row of a table. Tables run from high to low addresses.
struct RegionRow {
  RegionId id;
  const char* name;
  const char* symbol;  // illumos's name of its start, or ""
  Bound start;
  Bound end;  // one past its last byte; 0 is 2^64. Of a part: equal to start, its anchor
  RegionPlacement placement;
  Growth growth;
  Accessor accessor;
  Prot rights;  // the most that any page of it ever has; W^X holds page by page
  PageSizes page_sizes;
  StrayAccess stray;
  const char* purpose;  // one sentence
  RowKind kind = RowKind::region;
};

// A row with its place found.
struct LayoutRegion {
  const RegionRow* row = nullptr;
  VirtRange range;
  std::span<const RegionRow> parts;  // the rows that live inside it, from high to low
};

}  // namespace vellum
