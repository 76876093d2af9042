#include <vellum/arena/cached_arena.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

#include "array_pages.hpp"

namespace vellum {
namespace {

using literals::operator""_B;
using literals::operator""_KiB;
using literals::operator""_pages;

using Source = ArrayPages<256>;

// Lives for good; too big for a kernel's stack and data.
Source& source() {
  static Source* const pages = new Source;
  return *pages;
}

const VirtRange kSpan = VirtRange::must(VirtAddr(0x10'0000), 256_KiB);

struct Fixture {
  Fixture() { EXPECT_TRUE(arena.add_span(kSpan).ok()); }

  test::System system;
  ArenaMetadata metadata{source(), system.machine()};
  CachedArena arena{{.name = "cached", .quantum = 4_KiB}, 16_KiB, metadata};
};

TEST(CachedArena, GivesARangeFreedLastAgain) {
  Fixture test;
  const VirtRange first = test.arena.allocate(8_KiB).value();
  const VirtRange second = test.arena.allocate(8_KiB).value();
  EXPECT_FALSE(first.overlaps(second));
  test.arena.free(first);
  EXPECT_EQ(test.arena.allocate(8_KiB).value(), first);
  test.arena.free(first);
  test.arena.free(second);
}

TEST(CachedArena, CountsWhatLiesInMagazinesAsFree) {
  Fixture test;
  VirtRange taken[16];
  for (VirtRange& each : taken) {
    each = test.arena.allocate(8_KiB).value();
  }
  EXPECT_EQ(test.arena.in_use(), 128_KiB);
  for (unsigned i = 0; i < 16; ++i) {
    test.arena.free(taken[i]);
    EXPECT_EQ(test.arena.in_use(), 128_KiB - 8_KiB * (i + 1));
  }
  test.arena.check_invariants();
}

TEST(CachedArena, EmptiesItsMagazinesBeforeItFails) {
  Fixture test;
  VirtRange taken[64];
  for (VirtRange& each : taken) {
    each = test.arena.allocate(4_KiB).value();
  }
  EXPECT_EQ(test.arena.allocate(4_KiB).error(), Errno::no_memory);
  for (const VirtRange& each : taken) {
    test.arena.free(each);
  }
  // Cached as single pages, wanted as a whole: once by a size that is cached itself, once by one that is not.
  const VirtRange small = test.arena.allocate(16_KiB).value();
  const VirtRange big = test.arena.allocate(240_KiB).value();
  EXPECT_EQ(test.arena.in_use(), 256_KiB);
  test.arena.free(small);
  test.arena.free(big);
}

TEST(CachedArena, EmptiesItsMagazinesForConstrainedRequestsToo) {
  Fixture test;
  VirtRange taken[64];
  for (VirtRange& each : taken) {
    each = test.arena.allocate(4_KiB).value();
  }
  test.arena.free(taken[20]);
  const VirtRange again =
      test.arena.allocate(4_KiB, Fit::best, {.first = taken[20].start(), .last = taken[20].last()}).value();
  EXPECT_EQ(again, taken[20]);
  for (const VirtRange& each : taken) {
    test.arena.free(each);
  }
}

TEST(CachedArena, CachesNoSizeBeyondItsLargest) {
  Fixture test;
  const VirtRange big = test.arena.allocate(20_KiB).value();
  const VirtRange pinned = test.arena.allocate(4_KiB, Fit::instant, {.first = big.end()}).value();
  test.arena.free(big);
  test.arena.check_invariants();
  // What was freed is one segment again, for anyone.
  const VirtRange again = test.arena.allocate(20_KiB, Fit::instant, {.first = big.start(), .last = big.last()}).value();
  EXPECT_EQ(again, big);
  test.arena.free(again);
  test.arena.free(pinned);
}

TEST(CachedArena, TakesRangesOfConstrainedRequestsIntoItsCaches) {
  Fixture test;
  const VirtRange aligned = test.arena.allocate(4_KiB, Fit::best, {.alignment = 64_KiB, .phase = 60_KiB}).value();
  test.arena.free(aligned);
  EXPECT_EQ(test.arena.allocate(4_KiB).value(), aligned);
  test.arena.free(aligned);
}

TEST(CachedArena, RefusesImpossibleSizes) {
  Fixture test;
  EXPECT_EQ(test.arena.allocate(0_B).error(), Errno::invalid);
  EXPECT_EQ(test.arena.allocate(ByteCount(~std::uint64_t{0})).error(), Errno::invalid);
}

TEST(CachedArena, ReapGivesBackRangesAndMemory) {
  {
    Fixture test;
    VirtRange taken[8];
    for (unsigned i = 0; i < 8; ++i) {
      taken[i] = test.arena.allocate(4_KiB * (1 + i % 4)).value();
    }
    for (const VirtRange& each : taken) {
      test.arena.free(each);
    }
    test.arena.reap();
    const VirtRange whole = test.arena.allocate(256_KiB).value();
    EXPECT_EQ(whole, kSpan);
    test.arena.free(whole);
  }
  EXPECT_EQ(source().pages_out(), 0_pages);
}

}  // namespace
}  // namespace vellum
