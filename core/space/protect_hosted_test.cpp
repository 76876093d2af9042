// mprotect: how far it reaches, and that no translation keeps a right that was taken.

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Protection : public ::testing::Test {
 protected:
  Protection() : space(system.create(test::inner_layout<F>())) { at = space.layout().user[0].start() + pages(8); }
  ~Protection() override {
    space.check_invariants();
    space.destroy();
  }
  void map_at(VirtAddr where, ByteCount length, Prot prot, Prot maximum = Prot::all()) {
    const MapRequest<F> request = {
        .address = where, .length = length, .prot = prot, .maximum = maximum, .placement = Placement::fixed};
    VELLUM_CHECK(space.map(request).ok());
  }
  [[nodiscard]] Prot prot_of(VirtAddr where) { return space.region_at_or_after(where)->prot; }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr at;
};
TYPED_TEST_SUITE(Protection, test::AllFormats);

TYPED_TEST(Protection, WhatLiesBeforeAHoleIsChanged) {
  this->map_at(this->at, pages(4), kRead);
  this->map_at(this->at + pages(6), pages(4), kRead);
  EXPECT_EQ(this->space.protect(this->at + pages(1), pages(9), kReadWrite).error(), Errno::no_memory);
  EXPECT_TRUE(this->prot_of(this->at) == kRead);
  EXPECT_TRUE(this->prot_of(this->at + pages(1)) == kReadWrite);
  EXPECT_TRUE(this->prot_of(this->at + pages(3)) == kReadWrite);
  EXPECT_TRUE(this->prot_of(this->at + pages(6)) == kRead);
}

TYPED_TEST(Protection, WhatLiesBeforeAMappingThatMayNotIsChanged) {
  this->map_at(this->at, pages(4), kRead);
  this->map_at(this->at + pages(4), pages(4), kRead, kRead);
  this->map_at(this->at + pages(8), pages(4), kRead);
  EXPECT_EQ(this->space.protect(this->at, pages(12), kReadWrite).error(), Errno::access_denied);
  EXPECT_TRUE(this->prot_of(this->at) == kReadWrite);
  EXPECT_TRUE(this->prot_of(this->at + pages(4)) == kRead);
  EXPECT_TRUE(this->prot_of(this->at + pages(8)) == kRead);
  // Fewer rights are always permitted.
  EXPECT_TRUE(this->space.protect(this->at, pages(12), Prot::none()).ok());
  EXPECT_TRUE(this->space.protect(this->at, pages(12), kRead).ok());
}

TYPED_TEST(Protection, WhatLiesBeforeTheEndOfTheSpaceIsChanged) {
  const VirtAddr end = this->space.layout().user[0].end();
  this->map_at(end - pages(2), pages(2), kRead);
  EXPECT_EQ(this->space.protect(end - pages(1), pages(2), kReadWrite).error(), Errno::no_memory);
  EXPECT_TRUE(this->prot_of(end - pages(2)) == kRead);
  EXPECT_TRUE(this->prot_of(end - pages(1)) == kReadWrite);
}

TYPED_TEST(Protection, TheSameRightsAgainChangeNothing) {
  this->map_at(this->at, pages(20), kReadWrite);
  ASSERT_TRUE(this->space.protect(this->at + pages(5), pages(7), kReadWrite).ok());
  EXPECT_EQ(test::ranges(this->space), std::vector{VirtRange::must(this->at, pages(20))});
  ASSERT_TRUE(this->space.protect(this->at + pages(5), pages(7), kRead).ok());
  EXPECT_EQ(test::ranges(this->space).size(), 3U);
  ASSERT_TRUE(this->space.protect(this->at + pages(5), pages(7), kReadWrite).ok());
  EXPECT_EQ(test::ranges(this->space), std::vector{VirtRange::must(this->at, pages(20))});
}

// At every place and size in a few tables: the rights are those asked for, and what is written stays.
TYPED_TEST(Protection, HoldsAtEveryBoundary) {
  using F = TypeParam;
  constexpr std::uint64_t kTable = entry_span<F>(2).value();
  const VirtAddr start = this->space.layout().user[0].start().align_up(pages(kTable));
  // Around the boundary between two tables.
  const std::uint64_t count = std::min<std::uint64_t>(2 * kTable, 24);
  const VirtAddr first = start + pages(kTable) - pages(count / 2);
  this->map_at(start, pages(2 * kTable), kReadWrite);
  Program<F> program(this->space);
  for (std::uint64_t page = 0; page < count; ++page) {
    ASSERT_EQ(program.store(first + pages(page), 500 + page), Outcome::done);
  }
  for (std::uint64_t from = 0; from < count; ++from) {
    for (std::uint64_t to = from + 1; to <= count; ++to) {
      ASSERT_TRUE(this->space.protect(first + pages(from), pages(to - from), kRead).ok());
      for (std::uint64_t page = 0; page < count; ++page) {
        const bool denied = page >= from && page < to;
        ASSERT_EQ(program.store(first + pages(page), 500 + page), denied ? Outcome::access_denied : Outcome::done);
        ASSERT_EQ(program.at(first + pages(page)), 500 + page);
      }
      ASSERT_TRUE(this->space.protect(first + pages(from), pages(to - from), kReadWrite).ok());
      ASSERT_EQ(test::ranges(this->space).size(), 1U);
    }
  }
  EXPECT_EQ(this->space.residence().pages, PageCount(count));
}

TYPED_TEST(Protection, TakesRightsFromOtherProcessors) {
  using F = TypeParam;
  test::SpaceSystem<F> two({.cpus = 2});
  AddressSpace<F>& space = two.create();
  const VirtAddr at = space.map({.address = {}, .length = pages(2), .prot = kReadWrite}).value();
  {
    const hosted::CpuScope other(two.machine(), CpuIndex(1));
    Program<F> program(space);
    EXPECT_EQ(program.store(at, 1), Outcome::done);
    {
      const hosted::CpuScope first(two.machine(), CpuIndex(0));
      ASSERT_TRUE(space.protect(at, pages(1), kRead).ok());
    }
    EXPECT_EQ(program.store(at, 2), Outcome::access_denied);
    EXPECT_EQ(program.at(at), 1U);
    {
      const hosted::CpuScope first(two.machine(), CpuIndex(0));
      ASSERT_TRUE(space.unmap(at, pages(1)).ok());
    }
    std::uint64_t value = 0;
    EXPECT_EQ(program.load(at, value), Outcome::no_mapping);
  }
  space.destroy();
}

}  // namespace
}  // namespace vellum
