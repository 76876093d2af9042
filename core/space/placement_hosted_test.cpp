// Where mappings go: hints, fixed addresses, downward placement, alignment.

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;
using test::ranges;

template <class F>
class PlacementOf : public ::testing::Test {
 protected:
  PlacementOf() : space(system.create(test::inner_layout<F>())) {
    lowest = space.layout().user[0].start();
    end = space.layout().user[0].end();
  }
  ~PlacementOf() override {
    space.check_invariants();
    space.destroy();
  }
  [[nodiscard]] VirtAddr map(ByteCount length, VirtAddr hint = {}) {
    return space.map({.address = hint, .length = length, .prot = kReadWrite, .traits = Traits::no_reserve()}).value();
  }
  void map_at(VirtAddr at, ByteCount length, Prot prot = kReadWrite) {
    const MapRequest<F> request = {
        .address = at, .length = length, .prot = prot, .traits = Traits::no_reserve(), .placement = Placement::fixed};
    VELLUM_CHECK(space.map(request).value() == at);
  }
  // The pages of one leaf table.
  static constexpr std::uint64_t table = entry_span<F>(2).value();

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr lowest;
  VirtAddr end;
};
TYPED_TEST_SUITE(PlacementOf, test::AllFormats);

TYPED_TEST(PlacementOf, MappingsGoDownwardsFromTheTop) {
  const VirtAddr first = this->map(pages(1));
  const VirtAddr second = this->map(pages(3));
  EXPECT_EQ(first, this->end - pages(1));
  EXPECT_EQ(second, first - pages(3));
  // The lowest one goes: its place is used again.
  ASSERT_TRUE(this->space.unmap(second, pages(3)).ok());
  EXPECT_EQ(this->map(pages(2)), first - pages(2));
}

TYPED_TEST(PlacementOf, HintIsUsedWhereItIsFree) {
  const VirtAddr hint = this->lowest + pages(30);
  EXPECT_EQ(this->map(pages(2), hint), hint);
  EXPECT_EQ(this->map(pages(2), hint), this->end - pages(2));             // busy
  EXPECT_EQ(this->map(pages(2), hint - pages(1)), this->end - pages(4));  // its last page is busy
  EXPECT_EQ(this->map(pages(1), hint - pages(1)), hint - pages(1));
  EXPECT_EQ(this->map(pages(1), hint + ByteCount(2 * kPageSize + 0xFFF)), hint + pages(2));  // means its page
}

TYPED_TEST(PlacementOf, HintOutsideMeansTheLowestPageOrNothing) {
  EXPECT_EQ(this->map(pages(1), VirtAddr(kPageSize)), this->lowest);
  EXPECT_EQ(this->map(pages(1), VirtAddr(kPageSize)), this->end - pages(1));  // busy now
  EXPECT_EQ(this->map(pages(1), VirtAddr(0xFFF)), this->end - pages(2));      // the first page: none given
  EXPECT_EQ(this->map(pages(1), this->end), this->end - pages(3));
  EXPECT_EQ(this->map(pages(1), this->end - ByteCount(1)), this->end - pages(4));  // busy
  EXPECT_EQ(this->map(pages(1), VirtAddr(~std::uint64_t{0})), this->end - pages(5));
  EXPECT_EQ(this->map(pages(1), VirtAddr(std::uint64_t{1} << 60)), this->end - pages(6));
}

TYPED_TEST(PlacementOf, FixedReplacesSeveralRegions) {
  using F = TypeParam;
  const VirtAddr at = this->lowest + pages(10);
  this->map_at(at, pages(4), kRead);
  this->map_at(at + pages(6), pages(4), kReadWrite);
  this->map_at(at + pages(10), pages(4), kRead);
  {
    Program<F> program(this->space);
    for (std::uint64_t page = 6; page < 10; ++page) {
      EXPECT_EQ(program.store(at + pages(page), page), Outcome::done);
    }
    EXPECT_EQ(program.at(at + pages(13)), 0U);
    this->map_at(at + pages(2), pages(10), kReadWrite);
    for (std::uint64_t page = 2; page < 12; ++page) {
      EXPECT_EQ(program.at(at + pages(page)), 0U);
      EXPECT_EQ(program.store(at + pages(page), page), Outcome::done);
    }
    EXPECT_EQ(program.store(at + pages(1), 1), Outcome::access_denied);
    EXPECT_EQ(program.store(at + pages(12), 1), Outcome::access_denied);
  }
  const std::vector expected = {VirtRange::must(at, pages(2)), VirtRange::must(at + pages(2), pages(10)),
                                VirtRange::must(at + pages(12), pages(2))};
  EXPECT_EQ(ranges(this->space), expected);
  EXPECT_EQ(this->space.mapped(), PageCount(14));
  EXPECT_EQ(this->space.residence().pages, PageCount(10));
}

TYPED_TEST(PlacementOf, FixedLeavesNothingOfWhatWasThere) {
  using F = TypeParam;
  const VirtAddr at = this->lowest + pages(12);
  this->map_at(at, pages(16));
  Program<F> program(this->space);
  for (std::uint64_t page = 0; page < 16; ++page) {
    EXPECT_EQ(program.store(at + pages(page), 77), Outcome::done);
  }
  this->map_at(at, pages(16), kRead);
  EXPECT_EQ(this->space.residence().pages, PageCount(0));
  for (std::uint64_t page = 0; page < 16; ++page) {
    EXPECT_EQ(program.at(at + pages(page)), 0U);
    EXPECT_EQ(program.store(at + pages(page), 1), Outcome::access_denied);
  }
}

TYPED_TEST(PlacementOf, LargeMappingsBeginAtATable) {
  using F = TypeParam;
  constexpr std::uint64_t kTable = TestFixture::table;
  (void)this->map(pages(1));
  EXPECT_TRUE(this->map(pages(kTable)).is_aligned(pages(kTable)));
  EXPECT_TRUE(this->map(pages(kTable + 1)).is_aligned(pages(kTable)));
  // A piece of an object that begins within a table begins there in the space too.
  MemoryObject<F>& object = *this->system.vm().objects.create_anonymous(pages(4 * kTable)).value();
  const MapRequest<F> request = {
      .address = {}, .length = pages(2 * kTable), .prot = kRead, .object = &object, .offset = pages(kTable + 1)};
  const VirtAddr at = this->space.map(request).value();
  EXPECT_EQ((at.value() >> kPageShift) % kTable, 1U);
  object.release();
}

TYPED_TEST(PlacementOf, AlignmentIsForgoneWhereThereIsNoAlignedGap) {
  constexpr std::uint64_t kTable = TestFixture::table;
  // All is taken but a gap of one table's size that begins within a table.
  const VirtAddr gap = VirtAddr(this->lowest.align_up(pages(kTable)).value()) + pages(kTable + 1);
  const std::uint64_t before = (gap - this->lowest).value() >> kPageShift;
  this->map_at(this->lowest, pages(before));
  this->map_at(gap + pages(kTable), this->end - (gap + pages(kTable)));
  EXPECT_EQ(this->map(pages(kTable)), gap);
  EXPECT_EQ(this->space.map({.address = {}, .length = pages(1), .prot = kRead}).error(), Errno::no_memory);
}

TYPED_TEST(PlacementOf, TheHighestGapThatFitsIsFound) {
  const VirtAddr at = this->end - pages(20);
  this->map_at(at, pages(20));
  ASSERT_TRUE(this->space.unmap(at + pages(2), pages(2)).ok());
  ASSERT_TRUE(this->space.unmap(at + pages(9), pages(1)).ok());
  ASSERT_TRUE(this->space.unmap(at + pages(14), pages(2)).ok());
  (void)this->map(pages(1), at - pages(1));
  EXPECT_EQ(this->map(pages(2)), at + pages(14));
  EXPECT_EQ(this->map(pages(2)), at + pages(2));
  EXPECT_EQ(this->map(pages(2)), at - pages(3));
}

TYPED_TEST(PlacementOf, AFullSpaceIsFullToThePage) {
  this->map_at(this->lowest, this->end - this->lowest);
  EXPECT_EQ(this->space.map({.address = {}, .length = pages(1), .prot = kRead}).error(), Errno::no_memory);
  ASSERT_TRUE(this->space.unmap(this->lowest, pages(1)).ok());
  EXPECT_EQ(this->map(pages(1)), this->lowest);
  EXPECT_EQ(this->space.mapped(), whole_pages(this->end - this->lowest));
}

TYPED_TEST(PlacementOf, UnmapAcrossHolesTakesWhatIsThere) {
  const VirtAddr at = this->lowest + pages(8);
  this->map_at(at, pages(3));
  this->map_at(at + pages(5), pages(3));
  this->map_at(at + pages(20), pages(3));
  ASSERT_TRUE(this->space.unmap(at + pages(1), pages(21)).ok());
  const std::vector expected = {VirtRange::must(at, pages(1)), VirtRange::must(at + pages(22), pages(1))};
  EXPECT_EQ(ranges(this->space), expected);
  EXPECT_EQ(this->space.mapped(), PageCount(2));
}

}  // namespace
}  // namespace vellum
