#include <bit>

#include <vellum/phys/frame_pool.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

constexpr std::uint64_t kRegion = FramePool::kRegionPages;
constexpr std::uint64_t kArea = FramePool::kAreaPages;
constexpr std::size_t kRegions = 20;

MemoryMap map_of(std::initializer_list<FrameRange> ranges) {
  RawMemoryEntry entries[8];
  std::size_t count = 0;
  for (const FrameRange& range : ranges) {
    entries[count++] = {.base = address_of(range.start()), .size = bytes_of(range.size()), .kind = MemoryKind::usable};
  }
  return MemoryMap::from_firmware({entries, count}).value();
}

FrameRange frames(std::uint64_t first, std::uint64_t end) { return FrameRange::between(Pfn(first), Pfn(end)); }

// A pool over memory that holds garbage, as a machine's does at boot.
class Pool {
 public:
  Pool(std::initializer_list<FrameRange> ranges, Contents starts = Contents::any)
      : map_(map_of(ranges)),
        pool_(
            map_, {words_, FramePool::tree_words_for(FramePool::regions_for(map_.end()))}, garbage(), starts,
            [](void* context, FrameRange range) { static_cast<Pool*>(context)->set_up_ += range.size(); }, this) {}
  ~Pool() { pool_.check_invariants(); }

  FramePool* operator->() { return &pool_; }
  [[nodiscard]] PageCount set_up() const { return set_up_; }
  [[nodiscard]] PageCount total() const { return map_.total(); }

 private:
  static FramePool::Region* garbage() {
    static FramePool::Region regions[kRegions];
    auto* bytes = reinterpret_cast<unsigned char*>(regions);
    for (std::size_t i = 0; i < sizeof regions; ++i) {
      bytes[i] = 0xA5;
    }
    return regions;
  }

  PageCount set_up_;
  std::uint64_t words_[FramePool::tree_words_for(kRegions)] = {};
  const MemoryMap map_;
  FramePool pool_;
};

std::uint64_t take_all(Pool& pool) {
  std::uint64_t taken = 0;
  while (const auto some = pool->take(Pfn(0), 64)) {
    taken += static_cast<unsigned>(std::popcount(some->bits));
  }
  return taken;
}

TEST(FramePool, HandsOutEachFrameOfAnOddMapOnce) {
  Pool pool({frames(3, 700), frames(1000, 1001), frames(kRegion - 5, kRegion + 5), frames(3 * kRegion, 4 * kRegion)});
  EXPECT_TRUE(pool->free_count() == pool.total());
  std::uint64_t total = 0;
  Pfn near(0);
  while (const auto some = pool->take(near, 64)) {
    near = some->first;
    for (std::uint64_t bits = some->bits; bits != 0; bits &= bits - 1, ++total) {
      const std::uint64_t pfn = some->first.value() + static_cast<unsigned>(std::countr_zero(bits));
      EXPECT_TRUE((pfn >= 3 && pfn < 700) || pfn == 1000 || (pfn >= kRegion - 5 && pfn < kRegion + 5) ||
                  (pfn >= 3 * kRegion && pfn < 4 * kRegion));
    }
  }
  EXPECT_EQ(total, pool.total().value());
  EXPECT_TRUE(pool->free_count().is_zero());
}

TEST(FramePool, TakesNoMoreThanWantedAndLowFramesFirst) {
  Pool pool({frames(0, 200)});
  const auto some = pool->take(Pfn(0), 3);
  EXPECT_TRUE(some->first == Pfn(0));
  EXPECT_EQ(some->bits, 7U);
  EXPECT_EQ(pool->take(Pfn(0), 64)->bits, ~std::uint64_t{7});
  EXPECT_EQ(pool->free_count().value(), 200U - 64);
}

TEST(FramePool, SetsUpAWholeRegionOnlyWhenItIsUsed) {
  Pool pool({frames(0, 16 * kRegion)});
  EXPECT_TRUE(pool.set_up().is_zero());
  EXPECT_TRUE(pool->take(Pfn(0), 1).has_value());
  EXPECT_EQ(pool.set_up().value(), kRegion);
  EXPECT_TRUE(pool->take_block(Order(16)).has_value());
  EXPECT_EQ(pool.set_up().value(), 3 * kRegion);
}

TEST(FramePool, BreaksAnAreaOnlyWhereNoBrokenOneIsLeft) {
  Pool pool({frames(0, 2 * kRegion)});
  const Pfn first = pool->take(Pfn(0), 64)->first;
  for (unsigned i = 1; i < 8; ++i) {
    EXPECT_EQ(pool->take(Pfn(kRegion), 64)->first.value() / kArea, first.value() / kArea);
  }
  EXPECT_EQ(pool->take_block(Order(9))->value() % kArea, 0U);
  EXPECT_EQ(pool->take(Pfn(kRegion + 5 * kArea), 1)->first.value() / kRegion, 0U);
}

TEST(FramePool, BlocksOfEachOrderAreAlignedAndComeBackWhole) {
  Pool pool({frames(0, 16 * kRegion)});
  for (unsigned log = 0; log <= Order::kLargest; ++log) {
    const Order order(log);
    const auto block = pool->take_block(order);
    ASSERT_TRUE(block.has_value());
    EXPECT_TRUE(order.aligns(*block));
    EXPECT_FALSE(pool->is_free(*block));
    EXPECT_FALSE(pool->is_free(*block + (order.pages() - PageCount(1))));
    EXPECT_TRUE(pool->free_count() == pool.total() - order.pages());
    pool->check_invariants();
    pool->give_block(*block, order);
  }
  EXPECT_TRUE(pool->take_block(Order(18)).has_value());
  EXPECT_TRUE(pool->take_block(Order(18)).has_value());
  EXPECT_FALSE(pool->take_block(Order(0)).has_value());
}

TEST(FramePool, ABlockNeedsAlignedRoom) {
  Pool pool({frames(1, 512), frames(kRegion + 256, kRegion + 512)});
  EXPECT_FALSE(pool->take_block(Order(9)).has_value());
  EXPECT_TRUE(pool->take_block(Order(8)) == Pfn(256));
  EXPECT_TRUE(pool->take_block(Order(8)) == Pfn(kRegion + 256));
  EXPECT_FALSE(pool->take_block(Order(8)).has_value());
  EXPECT_TRUE(pool->take_block(Order(7)) == Pfn(128));
}

TEST(FramePool, FindsASmallBlockBeyondTheRegionsThatItTriesFirst) {
  Pool pool({frames(0, 10 * kRegion)});
  (void)take_all(pool);
  for (std::uint64_t region = 0; region < 9; ++region) {
    pool->give_block(Pfn(region * kRegion + 7), Order(0));
  }
  pool->give_block(Pfn(9 * kRegion + 64), Order(6));
  EXPECT_TRUE(pool->take_block(Order(6)) == Pfn(9 * kRegion + 64));
  EXPECT_FALSE(pool->take_block(Order(1)).has_value());
}

TEST(FramePool, FreshMemoryIsKnownUntilItIsUsed) {
  Pool pool({frames(0, kRegion)}, Contents::zeroed);
  EXPECT_TRUE(pool->take(Pfn(0), 64)->contents == Contents::zeroed);
  pool->give_block(Pfn(0), Order(6));
  EXPECT_TRUE(pool->take(Pfn(0), 64)->contents == Contents::any);
  const Pfn block = pool->take_block(Order(9)).value();
  EXPECT_TRUE(pool->begin_use(block, Order(9)) == Contents::zeroed);
  pool->give_block(block, Order(9));
  EXPECT_TRUE(pool->take_block(Order(9)) == block);
  EXPECT_TRUE(pool->begin_use(block, Order(9)) == Contents::any);
  // A part of a word makes the rest of it stale, but not the next word.
  EXPECT_TRUE(pool->take(Pfn(64), 1)->contents == Contents::zeroed);
  EXPECT_TRUE(pool->take(Pfn(64), 63)->contents == Contents::any);
  EXPECT_TRUE(pool->take(Pfn(64), 64)->contents == Contents::zeroed);
}

TEST(FramePool, MemoryThatStartsWithGarbageIsNeverFresh) {
  Pool pool({frames(0, kRegion)});
  EXPECT_TRUE(pool->take(Pfn(0), 64)->contents == Contents::any);
}

}  // namespace
}  // namespace vellum
