// What a space says of itself.

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::pages;
using test::ranges;
using test::regions;

template <class F>
class Query : public ::testing::Test {
 protected:
  Query() : space(system.create()) { at = space.layout().user[0].start() + pages(7); }
  ~Query() override {
    space.check_invariants();
    space.destroy();
  }
  void map(VirtAddr where, ByteCount length, Prot prot = kRead, Traits traits = {}, MemoryObject<F>* object = nullptr,
           ByteCount offset = ByteCount(0)) {
    const MapRequest<F> request = {.address = where,
                                   .length = length,
                                   .prot = prot,
                                   .traits = traits,
                                   .placement = Placement::fixed,
                                   .object = object,
                                   .offset = offset};
    VELLUM_CHECK(space.map(request).ok());
  }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr at;
};
TYPED_TEST_SUITE(Query, test::AllFormats);

TYPED_TEST(Query, NeighboursThatMeanTheSameAreOneRegion) {
  this->map(this->at, pages(5));
  this->map(this->at + pages(5), pages(5));
  this->map(this->at - pages(2), pages(2));
  EXPECT_EQ(ranges(this->space), std::vector{VirtRange::must(this->at - pages(2), pages(12))});
  // And are again when a difference goes away.
  ASSERT_TRUE(this->space.protect(this->at + pages(1), pages(2), kReadWrite).ok());
  EXPECT_EQ(ranges(this->space).size(), 3U);
  ASSERT_TRUE(this->space.unmap(this->at + pages(1), pages(2)).ok());
  EXPECT_EQ(ranges(this->space).size(), 2U);
  this->map(this->at + pages(1), pages(2));
  EXPECT_EQ(ranges(this->space).size(), 1U);
}

TYPED_TEST(Query, EachDifferenceMakesARegion) {
  this->map(this->at, pages(2));
  this->map(this->at + pages(2), pages(2), kReadWrite);
  this->map(this->at + pages(4), pages(2), kReadWrite, Traits::no_reserve());
  this->map(this->at + pages(6), pages(2), kReadWrite, Traits::shared());
  this->map(this->at + pages(8), pages(2), kReadWrite, Traits::shared());  // another object
  const auto all = regions(this->space);
  ASSERT_EQ(all.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(all[i].range, VirtRange::must(this->at + pages(2 * i), pages(2)));
  }
  EXPECT_TRUE(all[0].prot == kRead);
  EXPECT_TRUE(all[1].prot == kReadWrite);
  EXPECT_TRUE(all[2].traits.is_unreserved());
  EXPECT_TRUE(all[3].traits.is_shared());
  EXPECT_NE(all[3].object, all[4].object);
}

TYPED_TEST(Query, PiecesOfAnObjectInOrderAreOneRegion) {
  test::MemoryPager& pager = this->system.new_pager(pages(20));
  MemoryObject<TypeParam>& file = *this->system.vm().objects.create_file(pager, pages(20)).value();
  this->map(this->at, pages(2), kRead, {}, &file, pages(3));
  this->map(this->at + pages(2), pages(2), kRead, {}, &file, pages(5));
  this->map(this->at + pages(4), pages(2), kRead, {}, &file, pages(8));  // a page is left out
  const auto all = regions(this->space);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].range, VirtRange::must(this->at, pages(4)));
  EXPECT_EQ(all[0].object, &file);
  EXPECT_EQ(all[0].first, PageIndex(3));
  EXPECT_EQ(all[1].first, PageIndex(8));
  // A piece cut out of the middle begins where it begins in the object.
  ASSERT_TRUE(this->space.unmap(this->at, pages(1)).ok());
  EXPECT_EQ(regions(this->space)[0].first, PageIndex(4));
  file.release();
}

TYPED_TEST(Query, FindsTheRegionAroundAnAddressAndTheNext) {
  this->map(this->at, pages(4));
  this->map(this->at + pages(10), pages(2));
  const VirtRange first = VirtRange::must(this->at, pages(4));
  const VirtRange second = VirtRange::must(this->at + pages(10), pages(2));
  EXPECT_EQ(this->space.region_at_or_after(VirtAddr(0))->range, first);
  EXPECT_EQ(this->space.region_at_or_after(this->at + ByteCount(5))->range, first);
  EXPECT_EQ(this->space.region_at_or_after(first.last())->range, first);
  EXPECT_EQ(this->space.region_at_or_after(first.end())->range, second);
  EXPECT_EQ(this->space.region_at_or_after(second.last())->range, second);
  EXPECT_FALSE(this->space.region_at_or_after(second.end()).has_value());
  EXPECT_FALSE(this->space.region_at_or_after(VirtAddr(~std::uint64_t{0})).has_value());
}

TYPED_TEST(Query, RegionsSpanTables) {
  using F = TypeParam;
  const std::uint64_t count = 3 * entry_span<F>(2).value() + 1;
  this->map(this->at, pages(count));
  EXPECT_EQ(ranges(this->space), std::vector{VirtRange::must(this->at, pages(count))});
  EXPECT_EQ(this->space.region_at_or_after(this->at + pages(count) - ByteCount(1))->range.start(), this->at);
}

TYPED_TEST(Query, ResidenceCountsFramesAndTables) {
  using F = TypeParam;
  this->map(this->at, pages(8), kReadWrite);
  const auto empty = this->space.residence();
  EXPECT_EQ(empty.pages, PageCount(0));
  test::Program<F> program(this->space);
  EXPECT_EQ(program.store(this->at, 1), test::Outcome::done);
  EXPECT_EQ(program.at(this->at + pages(1)), 0U);
  EXPECT_EQ(this->space.residence().pages, PageCount(1));
  EXPECT_GE(this->space.residence().tables, PageCount(F::kLevels));
}

// A 64-bit program may have a range on either side of the addresses that are not canonical.
TEST(QueryOfTwoHalves, ContinuesAboveTheHole) {
  test::SpaceSystem<Amd64> system;
  SpaceLayout layout = test::whole_layout<Amd64>();
  layout.user[0] = VirtRange::between(VirtAddr(kPageSize), VirtAddr(0x7FFF'FFFF'F000));
  layout.user[1] = VirtRange::between(VirtAddr(0xFFFF'8000'0000'0000), VirtAddr(0xFFFF'FC7F'FFE0'0000));
  layout.placement_top = layout.user[1].end();
  layout.placement_bottom = layout.user[1].start();
  AddressSpace<Amd64>& space = system.create(layout);
  const auto map = [&](VirtAddr at) {
    return space.map({.address = at, .length = pages(1), .prot = kReadWrite, .placement = Placement::fixed}).ok();
  };
  EXPECT_TRUE(map(layout.user[0].end() - pages(1)));
  EXPECT_TRUE(map(layout.user[1].start()));
  EXPECT_FALSE(map(layout.user[0].end()));
  EXPECT_FALSE(map(VirtAddr(0x8000'0000'0000)));
  EXPECT_FALSE(map(layout.user[1].end()));
  EXPECT_EQ(space.map({.address = {}, .length = pages(1), .prot = kRead}).value(), layout.user[1].end() - pages(1));
  const std::vector expected = {VirtRange::must(layout.user[0].end() - pages(1), pages(1)),
                                VirtRange::must(layout.user[1].start(), pages(1)),
                                VirtRange::must(layout.user[1].end() - pages(1), pages(1))};
  EXPECT_EQ(ranges(space), expected);
  EXPECT_EQ(space.region_at_or_after(VirtAddr(std::uint64_t{1} << 60))->range, expected[1]);
  {
    test::Program<Amd64> program(space);
    EXPECT_EQ(program.store(layout.user[1].start(), 1), test::Outcome::done);
    EXPECT_EQ(program.store(layout.user[0].end() - pages(1), 2), test::Outcome::done);
    EXPECT_EQ(program.at(layout.user[1].start()), 1U);
    EXPECT_EQ(program.store(layout.user[1].start() - ByteCount(8), 1), test::Outcome::general_protection);
  }
  space.check_invariants();
  space.destroy();
}

}  // namespace
}  // namespace vellum
