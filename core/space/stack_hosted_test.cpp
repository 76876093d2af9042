// Mappings that grow down.

#include <thread>

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Stacks : public ::testing::Test {
 protected:
  static SpaceLayout layout() {
    SpaceLayout layout = test::inner_layout<F>();
    layout.stack_limit = pages(20);
    layout.stack_guard_gap = pages(4);
    return layout;
  }
  Stacks() : space(system.create(layout())) {
    top = space.layout().user[0].start() + pages(60);
    (void)map(top - pages(2), pages(2), kReadWrite, Traits::grows_down());
  }
  ~Stacks() override {
    space.check_invariants();
    space.destroy();
  }
  [[nodiscard]] VirtAddr map(VirtAddr at, ByteCount length, Prot prot, Traits traits = {}) {
    return space.map({.address = at, .length = length, .prot = prot, .traits = traits, .placement = Placement::fixed})
        .value();
  }

  test::SpaceSystem<F> system{{.cpus = 2}};
  AddressSpace<F>& space;
  VirtAddr top;
};
TYPED_TEST_SUITE(Stacks, test::AllFormats);

TYPED_TEST(Stacks, GrowToThePageThatIsTouched) {
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(this->top - pages(2) - ByteCount(8), 1), Outcome::done);
  EXPECT_EQ(test::ranges(this->space), std::vector{VirtRange::must(this->top - pages(3), pages(3))});
  EXPECT_EQ(program.at(this->top - pages(11)), 0U);
  EXPECT_EQ(test::ranges(this->space), std::vector{VirtRange::must(this->top - pages(11), pages(11))});
  EXPECT_EQ(this->space.mapped(), PageCount(11));
  EXPECT_EQ(this->space.residence().pages, PageCount(1));
}

TYPED_TEST(Stacks, EndAtTheirLimit) {
  Program<TypeParam> program(this->space);
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(this->top - pages(20) - ByteCount(8), value), Outcome::no_mapping);
  EXPECT_EQ(program.load(this->top - pages(20), value), Outcome::done);
  EXPECT_EQ(program.load(this->top - pages(20) - ByteCount(8), value), Outcome::no_mapping);
  EXPECT_EQ(this->space.mapped(), PageCount(20));
}

TYPED_TEST(Stacks, KeepTheGuardGapFromWhatLiesBelow) {
  (void)this->map(this->top - pages(12), pages(2), kRead);
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(this->top - pages(7), 1), Outcome::no_mapping);
  EXPECT_EQ(program.store(this->top - pages(6), 1), Outcome::done);
  EXPECT_EQ(program.store(this->top - pages(7), 1), Outcome::no_mapping);
}

// As on Linux, memory that nobody may touch is guard enough, and only the nearest neighbour counts.
TYPED_TEST(Stacks, NeedNoGapFromWhatCannotBeTouched) {
  (void)this->map(this->top - pages(12), pages(2), kRead);
  (void)this->map(this->top - pages(10), pages(1), Prot::none());
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(this->top - pages(9), 1), Outcome::done);
  EXPECT_EQ(program.store(this->top - pages(10), 1), Outcome::access_denied);
}

TYPED_TEST(Stacks, NeedNoGapFromAnotherStack) {
  (void)this->map(this->top - pages(12), pages(2), kReadWrite, Traits::grows_down());
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(this->top - pages(10), 1), Outcome::done);
  EXPECT_EQ(program.store(this->top - pages(13), 1), Outcome::done);
}

TYPED_TEST(Stacks, GrowWithTheRightsThatTheyHave) {
  ASSERT_TRUE(this->space.protect(this->top - pages(2), pages(2), kRead).ok());
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(this->top - pages(3), 1), Outcome::access_denied);
  EXPECT_EQ(program.at(this->top - pages(3)), 0U);
}

TYPED_TEST(Stacks, OnlyGrowWhatIsNextAbove) {
  (void)this->map(this->top - pages(6), pages(1), kReadWrite);
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(this->top - pages(7), 1), Outcome::no_mapping);
}

TYPED_TEST(Stacks, CountTowardsTheSizeOfTheSpace) {
  SpaceLayout layout = this->layout();
  layout.size_limit = pages(5);
  AddressSpace<TypeParam>& small = this->system.create(layout);
  ASSERT_TRUE(small
                  .map({.address = this->top - pages(2),
                        .length = pages(2),
                        .prot = kReadWrite,
                        .traits = Traits::grows_down(),
                        .placement = Placement::fixed})
                  .ok());
  {
    Program<TypeParam> program(small);
    EXPECT_EQ(program.store(this->top - pages(6), 1), Outcome::no_mapping);
    EXPECT_EQ(program.store(this->top - pages(5), 1), Outcome::done);
  }
  small.destroy();
}

TYPED_TEST(Stacks, DoNotGrowBelowTheLowestPage) {
  const VirtAddr lowest = this->space.layout().user[0].start();
  (void)this->map(lowest + pages(2), pages(1), kReadWrite, Traits::grows_down());
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(lowest, 1), Outcome::done);
  EXPECT_EQ(program.store(lowest - ByteCount(8), 1), Outcome::no_mapping);
}

TYPED_TEST(Stacks, GrowForAllWhoTouchThemAtOnce) {
  using F = TypeParam;
  for (int round = 0; round < 200; ++round) {
    const auto touch = [&] {
      Program<F> program(this->space);
      for (std::uint64_t page = 3; page <= 20; ++page) {
        EXPECT_EQ(program.store(this->top - pages(page), page), Outcome::done);
      }
    };
    std::thread other([&] {
      const hosted::CpuScope scope(this->system.machine(), CpuIndex(1));
      touch();
    });
    touch();
    other.join();
    ASSERT_TRUE(this->space.unmap(this->top - pages(20), pages(18)).ok());
  }
}

}  // namespace
}  // namespace vellum
