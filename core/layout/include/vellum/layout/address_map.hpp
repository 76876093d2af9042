// The layout of an address space: which region lies where, and why.
//
// Concepts. A *table* (amd64_table.cpp, i386_table.cpp, user_tables.cpp) has one row for each region, from high to low
// addresses: name, borders, who may use it, with which rights and page sizes, what a stray access means, what it is
// for. It is the only place where any of this is written down: the drawing, the explanations, the documentation and the
// kernel's own mappings are read from it. Some borders *float*: they are computed from the size of physical memory.
// These are the *landmarks*. An *address map* is a kernel table and a user table with all landmarks found.
//
// Implementation. AddressMap::create computes the landmarks by the rules that illumos publishes (place_amd64.cpp,
// place_i386.cpp: one statement for each line of the rule), puts each row at its place, fills what no row claims with
// `unused` regions, and checks the result: in order, no overlap, no wrap-around, a kernel heap and a user half of a
// sane size. A memory size for which this cannot be is refused with a LayoutProblem that says which rule broke and by
// how much. So a map that exists is sound: its regions are disjoint and cover the address space, each address lies in
// exactly one.
//
// Locks. None: a map never changes after it was made, and any number of CPUs may read it.
//
// What it never does: it maps nothing, allocates nothing, and knows of no process. Where a program's mappings are is
// the business of its space; the map says where they may be.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <span>

#include <vellum/layout/fixed_addresses.hpp>
#include <vellum/layout/region.hpp>

namespace vellum {

// The most memory that can be addressed: 52 bits of physical address on amd64, 36 with PAE [intel/vol3 4.1.4, 4.4].
// Less than kMinMemory holds no kernel.
inline constexpr ByteCount kMaxMemoryAmd64{std::uint64_t{1} << 52};
inline constexpr ByteCount kMaxMemoryI386{std::uint64_t{1} << 36};
inline constexpr ByteCount kMinMemory{std::uint64_t{16} << 20};

// What the kernel half depends on. Sizes left empty take their default.
struct KernelInputs {
  Arch arch = Arch::amd64;
  // One past the highest byte of memory: holes below it count. At most kMaxMemory...
  ByteCount physical_top;
  // The pages that the kernel has to give out (illumos's physmem): without holes, the nucleus, the first page.
  PageCount usable_pages;
  // Page descriptors and what else lies with them (illumos's valloc_sz). Default: own_tables_size(physical_top).
  std::optional<ByteCount> tables_size;
  std::optional<ByteCount>
      segkp_size;  // amd64. Default 2 GB; one outside 200 MB .. 8 GB is not heeded (see LayoutNotes)
  std::optional<ByteCount> segkvmm_size;  // amd64. Default 4 x memory; at least 4 GB
  std::optional<ByteCount> segzio_size;   // amd64. Default 1.5 x memory; at least 400 MB
  std::optional<ByteCount> segmap_size;   // at least 64 MB (amd64), 16 MB (i386), which are the defaults
  std::optional<VirtAddr> kernelbase;     // i386: rounded down to 4 MB, at most 0xE0000000; not heeded on amd64
  VirtAddr default_kernelbase = i386_layout::kDefaultKernelbase;  // i386, without the above: less the tables, twice

  // A machine with one block of memory of `memory` bytes (a part of a page at its end is lost), of which the first page
  // and the 8 MB nucleus are not to be given out.
  [[nodiscard]] static KernelInputs for_memory(Arch arch, ByteCount memory);
};

// What Vellum's own tables need: 16 bytes for each page frame below `physical_top`.
[[nodiscard]] ByteCount own_tables_size(ByteCount physical_top);

// What the user half depends on. All sizes are rounded up to pages, and cut where they would fill the user half.
struct UserInputs {
  UserModel model = UserModel::illumos;
  ByteCount stack_limit{std::uint64_t{8} << 20};  // Linux's default RLIMIT_STACK
  ByteCount stack_guard{std::uint64_t{1} << 20};  // kept free below the stack: Linux's stack_guard_gap, 256 pages
  // From the top of the stack to the first mapping, at the least, so that the limit can still be raised (Linux's
  // MIN_GAP). 64-bit only: a 32-bit stack lies below the text, with nothing mapped under it.
  ByteCount stack_window{std::uint64_t{128} << 20};
};

enum class LayoutRule : std::uint8_t {
  enough_memory,            // physical_top >= kMinMemory
  addressable_memory,       // physical_top <= kMaxMemory...
  model_fits_arch,          // linux_low and program32 are models of amd64
  regions_fit,              // the floating regions end below the fixed ones
  heap_large_enough,        // amd64: at least as large as usable memory; i386: at least 128 MB
  user_space_large_enough,  // i386: at least 256 MB below kernelbase
  regions_in_order,         // no row reaches into the one above it: a fault of the table or its formulas
};

// Why there is no layout for some inputs. `required` and `available` are bytes (for addressable_memory, of memory).
struct LayoutProblem {
  LayoutRule rule;
  ByteCount required;
  ByteCount available;
  const RegionRow* row = nullptr;  // the row concerned, where there is one
};

// What was asked for and not done as asked; the layout is sound all the same.
struct LayoutNotes {
  bool segkp_size_ignored = false;    // outside its bounds: the default was taken
  bool kernelbase_ignored = false;    // amd64 has none to choose
  bool kernelbase_lowered = false;    // i386: above its maximum
  bool kernelbase_below_abi = false;  // i386: user space ends below 3 GB, less than the i386 ABI promises
};

class AddressMap {
 public:
  [[nodiscard]] static std::expected<AddressMap, LayoutProblem> create(const KernelInputs& kernel,
                                                                       const UserInputs& user);

  [[nodiscard]] Arch arch() const { return arch_; }
  [[nodiscard]] UserModel model() const { return model_; }
  [[nodiscard]] ByteCount physical_top() const { return physical_top_; }
  [[nodiscard]] const Landmarks& landmarks() const { return landmarks_; }
  [[nodiscard]] const LayoutNotes& notes() const { return notes_; }
  // From high to low; disjoint; together they are the whole address space. Rows of no size are left out.
  [[nodiscard]] std::span<const LayoutRegion> regions() const { return {regions_, count_}; }
  // The region that an address lies in; nullptr only above the 4 GB of a 32-bit kernel.
  [[nodiscard]] const LayoutRegion* find(VirtAddr address) const;
  // The region of a row, or nullptr where this map has none. Of `unused` and `out_of_reach` there may be several: the
  // highest.
  [[nodiscard]] const LayoutRegion* find(RegionId id) const;
  // One past the last address; 0 is 2^64.
  [[nodiscard]] VirtAddr space_end() const;

 private:
  static constexpr std::size_t kMaxRegions = 64;

  AddressMap() = default;
  [[nodiscard]] std::optional<LayoutProblem> place(std::span<const RegionRow> rows);
  void append(const RegionRow& row, VirtAddr start, VirtAddr end);

  LayoutRegion regions_[kMaxRegions];
  std::size_t count_ = 0;
  Landmarks landmarks_;
  ByteCount physical_top_;
  VirtAddr floor_;  // while placing: the start of the lowest region so far
  LayoutNotes notes_;
  Arch arch_ = Arch::amd64;
  UserModel model_ = UserModel::illumos;
};

}  // namespace vellum
