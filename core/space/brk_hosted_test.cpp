// The program break.

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Break : public ::testing::Test {
 protected:
  Break() : space(system.create()) {
    start = space.layout().user[0].start() + pages(10);
    space.set_break_start(start, pages(30));
  }
  ~Break() override {
    space.check_invariants();
    space.destroy();
  }
  // How many pages the heap has.
  [[nodiscard]] std::uint64_t heap_pages() { return space.mapped().value(); }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr start;
};
TYPED_TEST_SUITE(Break, test::AllFormats);

TYPED_TEST(Break, MovesByBytesAndMapsByPages) {
  EXPECT_EQ(this->space.set_break(VirtAddr(0)), this->start);  // how programs ask
  EXPECT_EQ(this->space.set_break(this->start + ByteCount(1)), this->start + ByteCount(1));
  EXPECT_EQ(this->heap_pages(), 1U);
  EXPECT_EQ(this->space.set_break(this->start + ByteCount(kPageSize)), this->start + pages(1));
  EXPECT_EQ(this->heap_pages(), 1U);
  EXPECT_EQ(this->space.set_break(this->start + ByteCount(kPageSize + 1)), this->start + ByteCount(kPageSize + 1));
  EXPECT_EQ(this->heap_pages(), 2U);
  EXPECT_EQ(this->space.set_break(this->start + ByteCount(5)), this->start + ByteCount(5));
  EXPECT_EQ(this->heap_pages(), 1U);
  EXPECT_EQ(this->space.set_break(this->start), this->start);
  EXPECT_EQ(this->heap_pages(), 0U);
}

TYPED_TEST(Break, GrowsAsOneWritableRegionOfZeros) {
  using F = TypeParam;
  for (std::uint64_t page = 1; page <= 20; ++page) {
    ASSERT_EQ(this->space.set_break(this->start + pages(page)), this->start + pages(page));
  }
  const auto regions = test::regions(this->space);
  ASSERT_EQ(regions.size(), 1U);
  EXPECT_EQ(regions[0].range, VirtRange::must(this->start, pages(20)));
  EXPECT_TRUE(regions[0].prot == kReadWrite);
  Program<F> program(this->space);
  EXPECT_EQ(program.store(this->start + pages(19), 8), Outcome::done);
  EXPECT_EQ(program.fetch(this->start), Outcome::access_denied);
  ASSERT_EQ(this->space.set_break(this->start + pages(19)), this->start + pages(19));
  EXPECT_EQ(program.store(this->start + pages(19), 8), Outcome::no_mapping);
  ASSERT_EQ(this->space.set_break(this->start + pages(20)), this->start + pages(20));
  EXPECT_EQ(program.at(this->start + pages(19)), 0U);
}

TYPED_TEST(Break, StaysWhereItIsWhenItCannotMove) {
  const VirtAddr end = this->start + pages(4);
  ASSERT_EQ(this->space.set_break(end), end);
  EXPECT_EQ(this->space.set_break(this->start - ByteCount(1)), end);              // below the start
  EXPECT_EQ(this->space.set_break(this->start + pages(30) + ByteCount(1)), end);  // beyond the limit
  EXPECT_EQ(this->space.set_break(VirtAddr(~std::uint64_t{0})), end);
  EXPECT_EQ(this->space.set_break(VirtAddr(std::uint64_t{1} << 60)), end);
  EXPECT_EQ(this->heap_pages(), 4U);
  EXPECT_EQ(this->space.set_break(this->start + pages(30)), this->start + pages(30));
}

TYPED_TEST(Break, WithoutALimitEndsWithTheSpace) {
  this->space.set_break_start(this->start, ByteCount(~std::uint64_t{0}));
  const VirtAddr end = this->start + pages(2);
  ASSERT_EQ(this->space.set_break(end), end);
  EXPECT_EQ(this->space.set_break(VirtAddr(~std::uint64_t{0})), end);  // rounds up to 2^64
  EXPECT_EQ(this->space.set_break(VirtAddr(~std::uint64_t{0} - kPageSize)), end);
  EXPECT_EQ(this->space.set_break(this->space.layout().end() + ByteCount(1)), end);
  EXPECT_EQ(this->heap_pages(), 2U);
}

TYPED_TEST(Break, KeepsAPageFromWhatLiesAbove) {
  const VirtAddr above = this->start + pages(8);
  ASSERT_TRUE(
      this->space.map({.address = above, .length = pages(1), .prot = kRead, .placement = Placement::fixed}).ok());
  const VirtAddr most = above - pages(1);
  EXPECT_EQ(this->space.set_break(above), this->start);
  EXPECT_EQ(this->space.set_break(most + ByteCount(1)), this->start);
  EXPECT_EQ(this->space.set_break(above + pages(4)), this->start);
  EXPECT_EQ(this->space.set_break(most), most);
  EXPECT_EQ(this->heap_pages(), 8U);
}

TYPED_TEST(Break, KeepsTheGuardGapFromAStack) {
  SpaceLayout layout = test::whole_layout<TypeParam>();
  layout.stack_guard_gap = pages(6);
  AddressSpace<TypeParam>& other = this->system.create(layout);
  other.set_break_start(this->start, pages(30));
  const VirtAddr stack = this->start + pages(20);
  ASSERT_TRUE(other
                  .map({.address = stack,
                        .length = pages(2),
                        .prot = kReadWrite,
                        .traits = Traits::grows_down(),
                        .placement = Placement::fixed})
                  .ok());
  const VirtAddr most = stack - pages(7);
  EXPECT_EQ(other.set_break(most + ByteCount(1)), this->start);
  EXPECT_EQ(other.set_break(most), most);
  other.destroy();
}

TYPED_TEST(Break, ShrinksThroughWhatWasUnmappedAndMappedInIt) {
  const VirtAddr end = this->start + pages(12);
  ASSERT_EQ(this->space.set_break(end), end);
  ASSERT_TRUE(this->space.unmap(this->start + pages(4), pages(2)).ok());
  ASSERT_TRUE(
      this->space
          .map({.address = this->start + pages(8), .length = pages(1), .prot = kRead, .placement = Placement::fixed})
          .ok());
  EXPECT_EQ(this->space.set_break(this->start + pages(3)), this->start + pages(3));
  EXPECT_EQ(this->heap_pages(), 3U);
}

TYPED_TEST(Break, BelongsToEachAfterFork) {
  const VirtAddr end = this->start + pages(2);
  ASSERT_EQ(this->space.set_break(end), end);
  AddressSpace<TypeParam>& child = *this->space.fork().value();
  EXPECT_EQ(child.set_break(VirtAddr(0)), end);
  EXPECT_EQ(child.set_break(end + pages(3)), end + pages(3));
  EXPECT_EQ(this->space.set_break(VirtAddr(0)), end);
  EXPECT_EQ(child.set_break(this->start + pages(31)), end + pages(3));
  child.check_invariants();
  child.destroy();
}

}  // namespace
}  // namespace vellum
