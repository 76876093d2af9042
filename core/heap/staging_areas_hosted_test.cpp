#include <vellum/heap/staging_areas.hpp>
#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum::test {

namespace {

using namespace literals;

VELLUM_TEST_BOTH_FORMATS(StagingAreas, AreBackedAsFarAsTheyAreNeeded) {
  HeapWorld<F> world;
  StagingAreas<F> areas(world.space(), world.region(4_MiB), 2_MiB);
  const VirtRange first = areas.acquire().value();
  const VirtRange second = areas.acquire().value();
  EXPECT_FALSE(first.overlaps(second));
  EXPECT_FALSE(areas.acquire());
  EXPECT_FALSE(world.writes(first.start()));

  ASSERT_TRUE(areas.grow(first, 5000_B).ok());
  EXPECT_TRUE(world.writes(first.start(), 4));
  EXPECT_TRUE(world.writes(first.start() + 8184_B));
  EXPECT_FALSE(world.writes(first.start() + 8192_B));
  ASSERT_TRUE(areas.grow(first, 2_MiB).ok());
  EXPECT_TRUE(world.writes(first.end() - 8_B));
  EXPECT_EQ(world.read(first.start()), 4U);
  EXPECT_FALSE(world.writes(second.start()));
  EXPECT_EQ(areas.grow(first, 2_MiB + 1_B).error(), Errno::out_of_range);

  areas.release(first);
  EXPECT_FALSE(world.read(first.end() - 8_B));
  EXPECT_EQ(areas.acquire().value(), first);
  areas.release(first);
  areas.release(second);
  areas.trim();
  EXPECT_FALSE(world.read(first.start()));
}

VELLUM_TEST_BOTH_FORMATS(StagingAreas, KeepWhatTheyHaveWhenMemoryIsShort) {
  HeapWorld<F> world({.memory = 8_MiB});
  StagingAreas<F> areas(world.space(), world.region(32_MiB), 16_MiB);
  const VirtRange area = areas.acquire().value();
  ASSERT_TRUE(areas.grow(area, 1_MiB).ok());
  EXPECT_EQ(areas.grow(area, 16_MiB).error(), Errno::no_memory);
  EXPECT_TRUE(world.writes(area.start() + 1_MiB - 8_B));
  EXPECT_FALSE(world.writes(area.start() + 1_MiB));
  areas.release(area);
  areas.trim();
}

}  // namespace

}  // namespace vellum::test
