#include <algorithm>

#include <vellum/phys/memory_map.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using namespace literals;

constexpr RawMemoryEntry entry(std::uint64_t base, std::uint64_t size, MemoryKind kind = MemoryKind::usable) {
  return {.base = PhysAddr(base), .size = ByteCount(size), .kind = kind};
}

FrameRange frames(std::uint64_t first, std::uint64_t end) { return FrameRange::between(Pfn(first), Pfn(end)); }

template <std::size_t N>
void expect_ranges(const MemoryMap& map, const FrameRange (&expected)[N]) {
  ASSERT_EQ(map.ranges().size(), N);
  for (std::size_t i = 0; i < N; ++i) {
    EXPECT_TRUE(map.ranges()[i] == expected[i]);
  }
}

template <std::size_t N>
MemoryMap map_of(const RawMemoryEntry (&entries)[N]) {
  const Result<MemoryMap> map = MemoryMap::from_firmware(entries);
  EXPECT_TRUE(map.ok());
  return map.value();
}

TEST(MemoryMap, SortsAndMergesAPc) {
  const MemoryMap map = map_of({entry(0x1'0000'0000, 0x4000'0000), entry(0x10'0000, 0xBFF0'0000 - 0x10'0000),
                                entry(0xBFF0'0000, 0x10'0000, MemoryKind::acpi_reclaimable), entry(0, 0x9FC00),
                                entry(0x9FC00, 0x400, MemoryKind::reserved), entry(0x1'4000'0000, 0x1000'0000)});
  expect_ranges(map, {frames(0, 0x9F), frames(0x100, 0xBFF00), frames(0x100000, 0x150000)});
  EXPECT_EQ(map.total().value(), 0x9FU + 0xBFE00U + 0x50000U);
  EXPECT_TRUE(map.end() == Pfn(0x150000));
}

TEST(MemoryMap, ReservedWinsWhereverItStands) {
  expect_ranges(map_of({entry(0x2000, 0x1000, MemoryKind::bad), entry(0, 0x8000), entry(0x5800, 0x10, MemoryKind{99})}),
                {frames(0, 2), frames(3, 5), frames(6, 8)});
}

TEST(MemoryMap, PartialPagesAreNotUsableUnlessEntriesMeetInThem) {
  expect_ranges(map_of({entry(0x0800, 0x2000)}), {frames(1, 2)});
  expect_ranges(map_of({entry(0x1800, 0x1800), entry(0, 0x1800)}), {frames(0, 3)});
}

TEST(MemoryMap, IgnoresNonsense) {
  const std::uint64_t top = ~std::uint64_t{0};
  const MemoryMap map = map_of({entry(0x1000, 0x4000), entry(0x9000, 0), entry(0x3000, 0, MemoryKind::reserved),
                                entry(0x7000, top), entry(std::uint64_t{1} << 60, 0x100000)});
  expect_ranges(map, {frames(1, 5)});
}

TEST(MemoryMap, ReservedThatWrapsReachesToTheEnd) {
  expect_ranges(map_of({entry(0, 0x10000), entry(0x4000, ~std::uint64_t{0}, MemoryKind::reserved)}), {frames(0, 4)});
}

TEST(MemoryMap, UsableMemoryEndsAtTheArchitecturesLimit) {
  const std::uint64_t limit = MemoryMap::kLimit.value();
  expect_ranges(map_of({entry(limit - 0x2000, 0x10000)}), {frames((limit >> 12) - 2, limit >> 12)});
}

TEST(MemoryMap, TooManyPiecesAreAnError) {
  static RawMemoryEntry entries[MemoryMap::kMaxRanges + 1];
  for (std::size_t i = 0; i < std::size(entries); ++i) {
    entries[i] = entry(i * 0x2000, 0x1000);
  }
  EXPECT_TRUE(MemoryMap::from_firmware({entries, MemoryMap::kMaxRanges}).ok());
  EXPECT_TRUE(MemoryMap::from_firmware(entries).error() == Errno::no_space);
}

TEST(MemoryMap, ContainsKnowsEveryBoundary) {
  const MemoryMap map = map_of({entry(0x2000, 0x2000), entry(0x8000, 0x1000)});
  for (std::uint64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(map.contains(Pfn(i)), i == 2 || i == 3 || i == 8);
  }
}

TEST(MemoryMap, AllocatesFromTheTopAlignedAndBelowALimit) {
  MemoryMap map = map_of({entry(0, 0x100000), entry(0x200000, 0x7000)});
  EXPECT_TRUE(map.allocate(2_pages, 4_pages).value() == frames(0x204, 0x206));
  expect_ranges(map, {frames(0, 0x100), frames(0x200, 0x204), frames(0x206, 0x207)});
  EXPECT_TRUE(map.allocate(4_pages, 1_pages).value() == frames(0x200, 0x204));
  EXPECT_TRUE(map.allocate(1_pages, 1_pages, PhysAddr(0x80000)).value() == frames(0x7F, 0x80));
  expect_ranges(map, {frames(0, 0x7F), frames(0x80, 0x100), frames(0x206, 0x207)});
  EXPECT_TRUE(map.allocate(0x81_pages, 1_pages).error() == Errno::no_memory);
  EXPECT_TRUE(map.allocate(1_pages, 1_pages, PhysAddr(0)).error() == Errno::no_memory);
}

TEST(MemoryMap, ExcludesEveryPageThatARangeTouches) {
  MemoryMap map = map_of({entry(0, 0x10000)});
  EXPECT_TRUE(map.exclude(PhysRange::must(PhysAddr(0x2FFF), 2_B)).ok());
  EXPECT_TRUE(map.exclude(PhysRange::must(PhysAddr(0x6000), 0_B)).ok());
  EXPECT_TRUE(map.exclude(PhysRange::must(PhysAddr(0xF000), 0x100000_B)).ok());
  expect_ranges(map, {frames(0, 2), frames(4, 15)});
}

// The map against a table that knows, for each 512 bytes, what the entries say about them.
TEST(MemoryMap, AgreesWithATableOfEveryPieceForAnyEntries) {
  constexpr std::uint64_t kGrain = 512;
  constexpr std::uint64_t kPages = 48;
  constexpr std::uint64_t kGrains = kPages * kPageSize / kGrain;
  std::uint32_t random = 1;
  const auto next = [&random](std::uint32_t limit) {
    random = random * 1664525 + 1013904223;
    return (random >> 8) % limit;
  };
  for (int round = 0; round < 2000; ++round) {
    bool usable[kGrains] = {};
    bool reserved[kGrains] = {};
    RawMemoryEntry entries[12];
    const std::size_t count = 1 + next(12);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t first = next(kGrains);
      const std::uint64_t size = next(kGrains - static_cast<std::uint32_t>(first) + 1);
      const auto kind = static_cast<MemoryKind>(next(3) == 0 ? 2 + next(8) : 1);
      entries[i] = entry(first * kGrain, size * kGrain, kind);
      std::fill_n((kind == MemoryKind::usable ? usable : reserved) + first, size, true);
    }
    const Result<MemoryMap> map = MemoryMap::from_firmware({entries, count});
    ASSERT_TRUE(map.ok());
    std::uint64_t total = 0;
    for (std::uint64_t page = 0; page < kPages; ++page) {
      bool expected = true;
      for (std::uint64_t i = 0; i < kPageSize / kGrain; ++i) {
        expected = expected && usable[page * 8 + i] && !reserved[page * 8 + i];
      }
      ASSERT_EQ(map.value().contains(Pfn(page)), expected);
      total += expected ? 1 : 0;
    }
    ASSERT_EQ(map.value().total().value(), total);
    for (std::size_t i = 1; i < map.value().ranges().size(); ++i) {
      ASSERT_LT(map.value().ranges()[i - 1].end().value(), map.value().ranges()[i].start().value());
    }
  }
}

}  // namespace
}  // namespace vellum
