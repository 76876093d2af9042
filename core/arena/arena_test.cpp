#include <vellum/arena/arena.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

#include "array_pages.hpp"

namespace vellum {
namespace {

using literals::operator""_B;
using literals::operator""_KiB;
using literals::operator""_GiB;
using literals::operator""_pages;

using Source = ArrayPages<256>;

// Lives for good; too big for a kernel's stack and data.
Source& source() {
  static Source* const pages = new Source;
  return *pages;
}

constexpr ArenaConfig kPlain = {.name = "test", .quantum = ByteCount(kPageSize)};

VirtRange range(std::uint64_t start, ByteCount size) { return VirtRange::must(VirtAddr(start), size); }

struct Fixture {
  test::System system;
  ArenaMetadata metadata{source(), system.machine()};
  Arena arena{kPlain, metadata};

  // Makes free segments of the given sizes, kept apart by allocated pages.
  template <std::size_t kCount>
  void add_holes(const ByteCount (&sizes)[kCount]) {
    std::uint64_t start = kPageSize;
    for (const ByteCount size : sizes) {
      EXPECT_TRUE(arena.add_span(range(start, size)).ok());
      start += size.value() + kPageSize;
    }
  }
};

TEST(Arena, HandsOutAWholeSpanAndNoMore) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10000, 64_KiB)).ok());
  VirtRange taken[16];
  for (VirtRange& each : taken) {
    each = test.arena.allocate(4_KiB).value();
    EXPECT_TRUE(range(0x10000, 64_KiB).contains(each));
    for (const VirtRange& other : taken) {
      EXPECT_TRUE(&other == &each || !other.overlaps(each));
    }
  }
  EXPECT_EQ(test.arena.allocate(4_KiB).error(), Errno::no_memory);
  EXPECT_EQ(test.arena.in_use(), 64_KiB);
  EXPECT_EQ(test.arena.total(), 64_KiB);
  for (const VirtRange& each : taken) {
    test.arena.free(each);
    test.arena.check_invariants();
  }
  EXPECT_EQ(test.arena.in_use(), 0_B);
  // All joined again.
  const VirtRange whole = test.arena.allocate(64_KiB).value();
  EXPECT_EQ(whole, range(0x10000, 64_KiB));
  test.arena.free(whole);
}

TEST(Arena, RoundsSizesUpToTheQuantum) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10000, 64_KiB)).ok());
  const VirtRange taken = test.arena.allocate(4097_B).value();
  EXPECT_EQ(taken.size(), 8_KiB);
  EXPECT_EQ(test.arena.in_use(), 8_KiB);
  test.arena.free(taken);
}

TEST(Arena, ReachesTheTopOfTheAddressSpace) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0xffff'ffff'ffff'0000, 64_KiB)).ok());
  const VirtRange low = test.arena.allocate(32_KiB).value();
  const VirtRange high = test.arena.allocate(32_KiB).value();
  EXPECT_EQ(test.arena.allocate(4_KiB).error(), Errno::no_memory);
  test.arena.free(low);
  test.arena.free(high);
  test.arena.check_invariants();
  const VirtRange aligned = test.arena.allocate(4_KiB, Fit::instant, {.alignment = 32_KiB, .phase = 28_KiB}).value();
  EXPECT_EQ((aligned.start().value() & 0x7fff), 0x7000U);
  const VirtRange top = test.arena.allocate(4_KiB, Fit::instant, {.first = VirtAddr(0xffff'ffff'ffff'f000)}).value();
  EXPECT_EQ(top.last().value(), ~std::uint64_t{0});
  test.arena.free(aligned);
  test.arena.free(top);
}

TEST(Arena, InstantFitFindsTheOneSegmentOfItsOwnClass) {
  Fixture test;
  test.add_holes({20_KiB, 28_KiB, 24_KiB});
  const VirtRange taken = test.arena.allocate(28_KiB).value();
  EXPECT_EQ(taken.size(), 28_KiB);
  EXPECT_EQ(test.arena.allocate(28_KiB).error(), Errno::no_memory);
  test.arena.free(taken);
}

TEST(Arena, BestFitTakesTheSmallestThatFits) {
  Fixture test;
  test.add_holes({64_KiB, 28_KiB, 20_KiB, 24_KiB, 12_KiB});
  const VirtRange taken = test.arena.allocate(18_KiB, Fit::best).value();
  EXPECT_EQ(taken.size(), 20_KiB);
  const VirtRange next = test.arena.allocate(20_KiB, Fit::best).value();
  // The hole of 24 KB lies third from the beginning, behind those of 64, 28 and 20 KB.
  EXPECT_EQ(next.start().value(), kPageSize + ((64 + 28 + 20 + 12) << 10));
  test.arena.free(taken);
  test.arena.free(next);
}

TEST(Arena, NextFitReusesAnAddressOnlyAfterAWholeRound) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x100000, 64_KiB)).ok());
  for (unsigned round = 0; round < 3; ++round) {
    for (std::uint64_t page = 0; page < 16; ++page) {
      const VirtRange taken = test.arena.allocate(4_KiB, Fit::next).value();
      EXPECT_EQ(taken.start().value(), 0x100000 + page * kPageSize);
      test.arena.free(taken);
      test.arena.check_invariants();
    }
  }
}

TEST(Arena, NextFitGoesOnBehindWhatOthersCutAway) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x100000, 64_KiB)).ok());
  const VirtRange first = test.arena.allocate(4_KiB, Fit::next).value();
  const VirtRange middle =
      test.arena.allocate(4_KiB, Fit::instant, {.first = VirtAddr(0x104000), .last = VirtAddr(0x104fff)}).value();
  test.arena.free(first);
  const VirtRange second = test.arena.allocate(16_KiB, Fit::next).value();
  EXPECT_EQ(second.start().value(), 0x105000U);
  test.arena.free(second);
  test.arena.free(middle);
  const VirtRange third = test.arena.allocate(4_KiB, Fit::next).value();
  EXPECT_EQ(third.start().value(), 0x109000U);
  test.arena.free(third);
}

TEST(Arena, NextFitKeepsItsPlaceWhenItsSegmentIsCut) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x100000, 64_KiB)).ok());
  const VirtRange first = test.arena.allocate(12_KiB, Fit::next).value();
  test.arena.free(first);
  const VirtRange cut =
      test.arena.allocate(4_KiB, Fit::instant, {.first = VirtAddr(0x101000), .last = VirtAddr(0x101fff)}).value();
  // 0x102000 is free too, but was handed out before.
  const VirtRange second = test.arena.allocate(4_KiB, Fit::next).value();
  EXPECT_EQ(second.start().value(), 0x103000U);
  test.arena.check_invariants();
  test.arena.free(cut);
  test.arena.free(second);
}

TEST(Arena, HonoursAlignmentAndPhase) {
  for (const Fit fit : {Fit::instant, Fit::best, Fit::next}) {
    Fixture test;
    EXPECT_TRUE(test.arena.add_span(range(0x1000, 1024_KiB)).ok());
    const VirtRange taken = test.arena.allocate(12_KiB, fit, {.alignment = 64_KiB, .phase = 8_KiB}).value();
    EXPECT_EQ(taken.start().value() % (64 << 10), 8U << 10);
    test.arena.check_invariants();
    test.arena.free(taken);
  }
}

TEST(Arena, CrossesNoForbiddenBoundary) {
  for (const Fit fit : {Fit::instant, Fit::best, Fit::next}) {
    Fixture test;
    EXPECT_TRUE(test.arena.add_span(range(0xe000, 128_KiB)).ok());
    VirtRange taken[8];
    unsigned count = 0;
    while (count < 8) {
      const Result<VirtRange> each = test.arena.allocate(12_KiB, fit, {.no_cross = 16_KiB});
      if (!each.ok()) {
        break;
      }
      taken[count] = each.value();
      EXPECT_EQ(taken[count].start().value() >> 14, taken[count].last().value() >> 14);
      ++count;
    }
    // 0x10000 to 0x2dfff has seven whole windows of 16 KB, and its last half window has no room.
    EXPECT_EQ(count, 7U);
    for (unsigned i = 0; i < count; ++i) {
      test.arena.free(taken[i]);
    }
  }
}

TEST(Arena, KeepsWithinBounds) {
  for (const Fit fit : {Fit::instant, Fit::best, Fit::next}) {
    Fixture test;
    EXPECT_TRUE(test.arena.add_span(range(0x10000, 256_KiB)).ok());
    const RangeConstraints bounds = {.first = VirtAddr(0x18001), .last = VirtAddr(0x1cffe)};
    const VirtRange taken = test.arena.allocate(12_KiB, fit, bounds).value();
    EXPECT_EQ(taken, range(0x19000, 12_KiB));
    EXPECT_EQ(test.arena.allocate(4_KiB, fit, bounds).error(), Errno::no_memory);
    test.arena.free(taken);
  }
}

TEST(Arena, RefusesWhatNoRangeCanMeet) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10000, 256_KiB)).ok());
  const RangeConstraints bad[] = {
      {.alignment = 12_KiB},
      {.alignment = 16_KiB, .phase = 16_KiB},
      {.alignment = 16_KiB, .phase = 2_KiB},
      {.phase = 4_KiB},
      {.no_cross = 12_KiB},
      {.no_cross = 4_KiB},
      {.alignment = 16_KiB, .phase = 12_KiB, .no_cross = 16_KiB},
      {.first = VirtAddr(0x20000), .last = VirtAddr(0x1ffff)},
  };
  for (const RangeConstraints& constraints : bad) {
    EXPECT_EQ(test.arena.allocate(8_KiB, Fit::instant, constraints).error(), Errno::invalid);
  }
  EXPECT_EQ(test.arena.allocate(0_B).error(), Errno::invalid);
  EXPECT_EQ(test.arena.allocate(ByteCount(~std::uint64_t{0})).error(), Errno::invalid);
  EXPECT_EQ(test.arena.allocate(ByteCount(std::uint64_t{1} << 63)).error(), Errno::no_memory);
}

TEST(Arena, RefusesBadSpans) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10000, 64_KiB)).ok());
  EXPECT_EQ(test.arena.add_span(range(0x40000, 0_B)).error(), Errno::invalid);
  EXPECT_EQ(test.arena.add_span(range(0x40800, 4_KiB)).error(), Errno::invalid);
  EXPECT_EQ(test.arena.add_span(range(0x40000, 6_KiB)).error(), Errno::invalid);
  EXPECT_EQ(test.arena.add_span(range(0x1f000, 8_KiB)).error(), Errno::exists);
  EXPECT_EQ(test.arena.total(), 64_KiB);
}

TEST(Arena, DoesNotJoinSpansThatTouch) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10000, 64_KiB)).ok());
  EXPECT_TRUE(test.arena.add_span(range(0x20000, 64_KiB)).ok());
  EXPECT_EQ(test.arena.allocate(68_KiB).error(), Errno::no_memory);
  test.arena.check_invariants();
}

TEST(Arena, FailsCleanlyWithoutBoundaryTags) {
  Fixture test;
  source().permit(0);
  EXPECT_EQ(test.arena.add_span(range(0x10000, 64_KiB)).error(), Errno::no_memory);
  EXPECT_EQ(test.arena.total(), 0_B);
  source().permit_all();
  EXPECT_TRUE(test.arena.add_span(range(0x100000, 16384_KiB)).ok());
  source().permit(0);
  VirtRange taken[512];
  unsigned count = 0;
  for (;;) {
    const Result<VirtRange> each = test.arena.allocate(4_KiB);
    if (!each.ok()) {
      EXPECT_EQ(each.error(), Errno::no_memory);
      break;
    }
    taken[count++] = each.value();
  }
  test.arena.check_invariants();
  EXPECT_EQ(test.arena.in_use(), 4_KiB * count);
  EXPECT_GT(count, 0U);
  // Freeing works without memory, and makes room for as many again.
  for (unsigned i = 0; i < count; ++i) {
    test.arena.free(taken[i]);
  }
  test.arena.check_invariants();
  for (unsigned i = 0; i < count; ++i) {
    taken[i] = test.arena.allocate(4_KiB).value();
  }
  source().permit_all();
  for (unsigned i = 0; i < count; ++i) {
    test.arena.free(taken[i]);
  }
}

TEST(Arena, ManySegmentsGrowAndShrinkItsMemory) {
  static VirtRange taken[6000];
  {
    Fixture test;
    EXPECT_TRUE(test.arena.add_span(range(0x1'0000'0000, 1_GiB)).ok());
    for (VirtRange& each : taken) {
      each = test.arena.allocate(8_KiB).value();
    }
    EXPECT_EQ(test.arena.segments_in_use(), 6000U);
    test.arena.check_invariants();
    // Every third stays, so that freeing does not join them.
    for (unsigned i = 0; i < 6000; ++i) {
      if (i % 3 != 0) {
        test.arena.free(taken[i]);
      }
    }
    test.arena.check_invariants();
    EXPECT_EQ(test.arena.in_use(), 8_KiB * 2000);
    for (unsigned i = 0; i < 6000; i += 3) {
      test.arena.free(taken[i]);
    }
    test.arena.check_invariants();
    // The span, what is free of it, and the arena's reserve.
    EXPECT_LE(test.metadata.tags.objects_in_use(), 2U + 16U);
  }
  EXPECT_EQ(source().pages_out(), 0_pages);
}

TEST(Arena, ImportsWhatItLacksAndReturnsItWhollyFree) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10'0000, 1024_KiB)).ok());
  Arena child({.name = "child", .quantum = 1_KiB, .source = &test.arena, .least_import = 32_KiB}, test.metadata);
  const VirtRange first = child.allocate(3_KiB).value();
  EXPECT_EQ(child.total(), 32_KiB);
  EXPECT_EQ(test.arena.in_use(), 32_KiB);
  const VirtRange second = child.allocate(29_KiB).value();
  EXPECT_EQ(child.total(), 32_KiB);
  const VirtRange third = child.allocate(100_KiB).value();
  EXPECT_EQ(child.total(), 132_KiB);
  child.check_invariants();
  child.free(first);
  child.free(third);
  EXPECT_EQ(child.total(), 32_KiB);
  EXPECT_EQ(test.arena.in_use(), 32_KiB);
  child.free(second);
  EXPECT_EQ(child.total(), 0_B);
  EXPECT_EQ(test.arena.in_use(), 0_B);
}

TEST(Arena, ImportsEnoughForTheConstraints) {
  for (const Fit fit : {Fit::instant, Fit::best, Fit::next}) {
    Fixture test;
    EXPECT_TRUE(test.arena.add_span(range(0x10'3000, 4096_KiB)).ok());
    Arena child({.name = "child", .quantum = 4_KiB, .source = &test.arena}, test.metadata);
    const RangeConstraints constraints = {.alignment = 64_KiB, .phase = 4_KiB, .no_cross = 128_KiB};
    const VirtRange taken = child.allocate(100_KiB, fit, constraints).value();
    EXPECT_EQ(taken.start().value() % (64 << 10), 4096U);
    EXPECT_EQ(taken.start().value() >> 17, taken.last().value() >> 17);
    child.free(taken);
    EXPECT_EQ(test.arena.in_use(), 0_B);
  }
}

TEST(Arena, AFailedImportChangesNothing) {
  Fixture test;
  EXPECT_TRUE(test.arena.add_span(range(0x10'0000, 64_KiB)).ok());
  Arena child({.name = "child", .quantum = 4_KiB, .source = &test.arena}, test.metadata);
  EXPECT_EQ(child.allocate(68_KiB).error(), Errno::no_memory);
  // Bounds are never imported for: nobody knows where the span would lie.
  EXPECT_EQ(child.allocate(4_KiB, Fit::instant, {.first = VirtAddr(0x10'0000)}).error(), Errno::no_memory);
  EXPECT_EQ(child.total(), 0_B);
  EXPECT_EQ(test.arena.in_use(), 0_B);
}

TEST(Arena, AnImportWithoutTagsIsGivenBack) {
  Fixture test;
  Arena child({.name = "child", .quantum = 4_KiB, .source = &test.arena}, test.metadata);
  EXPECT_TRUE(test.arena.add_span(range(0x10'0000, 1024_KiB)).ok());
  source().permit(0);
  VirtRange taken[256];
  unsigned count = 0;
  while (count < 256) {
    const Result<VirtRange> each = test.arena.allocate(4_KiB);
    if (!each.ok()) {
      break;
    }
    taken[count++] = each.value();
  }
  // The tags that this sets free stay with the parent, so that it can serve the import and the child cannot use it.
  for (unsigned i = 0; i < 8; ++i) {
    test.arena.free(taken[--count]);
  }
  EXPECT_EQ(child.allocate(4_KiB).error(), Errno::no_memory);
  EXPECT_EQ(child.total(), 0_B);
  EXPECT_EQ(test.arena.in_use(), 4_KiB * count);
  const VirtRange proof = test.arena.allocate(4_KiB).value();
  test.arena.free(proof);
  source().permit_all();
  const VirtRange served = child.allocate(4_KiB).value();
  child.free(served);
  while (count > 0) {
    test.arena.free(taken[--count]);
  }
}

}  // namespace
}  // namespace vellum
