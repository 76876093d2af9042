// From what the firmware says about memory to the ranges that may be used.
//
// Firmware reports memory as a list in no order, with holes, with overlaps, with kinds that contradict each other. The
// rules here: what nobody calls usable is not; where two entries disagree, the one that says "not usable" wins; what is
// left is cut to whole pages. The map also serves the first allocations of a boot, before the allocator stands.
// No allocation; not synchronised: one CPU uses it while it boots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vellum/base/range.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// ACPI's numbers [ACPI 6.5, table 15.10], which multiboot and PVH pass on. Every other number counts as reserved.
enum class MemoryKind : std::uint32_t {
  usable = 1,
  reserved = 2,
  acpi_reclaimable = 3,
  acpi_nvs = 4,
  bad = 5,
};

// One line of the firmware's list, as it came: nothing about it need be sane.
struct RawMemoryEntry {
  PhysAddr base;
  ByteCount size;
  MemoryKind kind;
};

// Usable memory as ascending, disjoint ranges of whole pages that do not touch each other.
class MemoryMap {
 public:
  static constexpr std::size_t kMaxRanges = 128;
  // x86's architectural limit [intel/vol3 4.1.4]. Nothing lies beyond.
  static constexpr PhysAddr kLimit = PhysAddr(std::uint64_t{1} << 52);

  MemoryMap() = default;

  // A usable entry that wraps around is ignored, one that says "not usable" and wraps reaches to the limit.
  // Errors: no_space where the usable memory lies in more than kMaxRanges pieces.
  [[nodiscard]] static Result<MemoryMap> from_firmware(std::span<const RawMemoryEntry> entries);

  [[nodiscard]] std::span<const FrameRange> ranges() const { return {ranges_, count_}; }
  [[nodiscard]] PageCount total() const;
  // One past the highest usable frame; 0 for an empty map.
  [[nodiscard]] Pfn end() const { return count_ == 0 ? Pfn(0) : ranges_[count_ - 1].end(); }
  // Logarithmic in the number of ranges.
  [[nodiscard]] bool contains(Pfn frame) const;

  // Takes every page that `range` touches out of the map: a kernel's image, a boot module.
  // Errors: no_space as above; then nothing has changed.
  [[nodiscard]] Result<void> exclude(PhysRange range);
  // Takes `count` adjoining frames out of the map, the highest that lie wholly below `limit` and start at a multiple
  // of `alignment` (a power of two). Their contents are undefined.
  // Errors: no_memory where there are none, no_space as above; then nothing has changed.
  [[nodiscard]] Result<FrameRange> allocate(PageCount count, PageCount alignment, PhysAddr limit = kLimit);

 private:
  [[nodiscard]] Result<void> remove(FrameRange hole);

  FrameRange ranges_[kMaxRanges] = {};
  std::size_t count_ = 0;
};

}  // namespace vellum
