// mremap: what moves, what it costs, and Linux's answers to what is asked wrongly.

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Remaps : public ::testing::Test {
 protected:
  Remaps() : space(system.create()) {}
  ~Remaps() override {
    space.check_invariants();
    space.destroy();
  }
  void store(AddressSpace<F>& where, VirtAddr at, std::uint64_t value) {
    Program<F> program(where);
    ASSERT_EQ(program.store(at, value), Outcome::done);
  }
  [[nodiscard]] std::uint64_t at(AddressSpace<F>& where, VirtAddr address) {
    Program<F> program(where);
    return program.at(address);
  }
  [[nodiscard]] VirtAddr map(ByteCount length, Traits traits = {}) {
    return space.map({.address = {}, .length = length, .prot = kReadWrite, .traits = traits}).value();
  }
  [[nodiscard]] Result<VirtAddr> move(VirtAddr from, ByteCount old_length, ByteCount new_length) {
    return space.remap(
        {.address = from, .old_length = old_length, .new_length = new_length, .move = Remap::Move::anywhere});
  }
  [[nodiscard]] Result<VirtAddr> move_to(VirtAddr from, ByteCount old_length, ByteCount new_length, VirtAddr to) {
    return space.remap({.address = from,
                        .old_length = old_length,
                        .new_length = new_length,
                        .move = Remap::Move::to_target,
                        .target = to});
  }
  [[nodiscard]] Errno error_of(const Remap& request) { return space.remap(request).error(); }
  [[nodiscard]] bool is_mapped(VirtAddr address) {
    const auto region = space.region_at_or_after(address);
    return region && region->range.contains(address);
  }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(Remaps, test::AllFormats);

TYPED_TEST(Remaps, ShrinkingUnmapsTheEnd) {
  const VirtAddr at = this->map(pages(4));
  this->store(this->space, at + pages(3), 7);
  EXPECT_EQ(this->space.remap({.address = at, .old_length = pages(4), .new_length = pages(2)}).value(), at);
  EXPECT_TRUE(this->is_mapped(at + pages(1)));
  EXPECT_FALSE(this->is_mapped(at + pages(2)));
}

TYPED_TEST(Remaps, GrowsWhereItIsIfThereIsRoom) {
  const VirtAddr at = this->map(pages(4));
  this->store(this->space, at + pages(1), 7);
  ASSERT_TRUE(this->space.unmap(at + pages(2), pages(2)).ok());
  EXPECT_EQ(this->space.remap({.address = at, .old_length = pages(2), .new_length = pages(4)}).value(), at);
  EXPECT_EQ(this->at(this->space, at + pages(1)), 7U);
  this->store(this->space, at + pages(3), 8);
  EXPECT_EQ(this->space.mapped(), PageCount(4));
}

TYPED_TEST(Remaps, MovesWhereThereIsNone) {
  const VirtAddr above = this->map(pages(1));
  const VirtAddr at = this->map(pages(2));
  ASSERT_EQ(at + pages(2), above);
  this->store(this->space, at, 7);
  this->store(this->space, above, 9);
  ASSERT_TRUE(this->space.protect(above, pages(1), kRead).ok());
  EXPECT_EQ(this->error_of({.address = at, .old_length = pages(2), .new_length = pages(3)}), Errno::no_memory);
  const VirtAddr moved = this->move(at, pages(2), pages(3)).value();
  EXPECT_NE(moved, at);
  EXPECT_EQ(this->at(this->space, moved), 7U);
  EXPECT_EQ(this->at(this->space, moved + pages(2)), 0U);
  EXPECT_FALSE(this->is_mapped(at));
  EXPECT_EQ(this->at(this->space, above), 9U);
}

TYPED_TEST(Remaps, WholeTablesMoveAsTheyAre) {
  if (!TypeParam::restricts(2) || TypeParam::kVirtualBits < 32) {
    return;  // its tables are too small, or do not move
  }
  const ByteCount table = bytes_of(entry_span<TypeParam>(2));
  const VirtAddr at = this->map(table * 3);
  const VirtAddr to = this->map(table * 3);
  ASSERT_TRUE(at.is_page_aligned() && (at.value() - to.value()) % table.value() == 0);
  this->store(this->space, at, 1);
  this->store(this->space, at + table + pages(5), 2);
  this->store(this->space, at + table * 3 - pages(1), 3);
  const std::uint64_t made = this->system.vm().nodes.events().total(MemoryEvent::table_made);
  ASSERT_EQ(this->move_to(at, table * 3, table * 3, to).value(), to);
  EXPECT_EQ(this->system.vm().nodes.events().total(MemoryEvent::table_made), made);
  EXPECT_EQ(this->at(this->space, to), 1U);
  EXPECT_EQ(this->at(this->space, to + table + pages(5)), 2U);
  EXPECT_EQ(this->at(this->space, to + table * 3 - pages(1)), 3U);
  this->store(this->space, to + table, 4);
  EXPECT_FALSE(this->is_mapped(at + table));
}

// Pages of a table whose rights an entry above took away, moved one by one into tables where nothing above does.
TYPED_TEST(Remaps, RightsThatWereTakenStayTaken) {
  const ByteCount table = bytes_of(entry_span<TypeParam>(2));
  const VirtAddr at = this->map(table * 2).align_up(table);
  ASSERT_TRUE(
      this->space.map({.address = at, .length = table, .prot = kReadWrite, .placement = Placement::fixed}).ok());
  for (VirtAddr page = at; page < at + table; page += pages(1)) {
    this->store(this->space, page, 1);
  }
  ASSERT_TRUE(this->space.protect(at, table, kRead).ok());
  const VirtAddr to = this->move_to(at, table, table, at - table - pages(2)).value();
  Program<TypeParam> program(this->space);
  for (VirtAddr page = to; page < to + table; page += pages(1)) {
    EXPECT_EQ(program.at(page), 1U);
    EXPECT_EQ(program.store(page, 2), Outcome::access_denied);
  }
}

TYPED_TEST(Remaps, WhatAChildSharesItKeeps) {
  const ByteCount length = bytes_of(entry_span<TypeParam>(2)) + pages(1);
  const VirtAddr at = this->map(length);
  this->store(this->space, at, 1);
  this->store(this->space, at + length - pages(1), 2);
  AddressSpace<TypeParam>& child = *this->space.fork().value();
  const VirtAddr above = at + length;
  ASSERT_TRUE(
      this->space.map({.address = above, .length = pages(1), .prot = kRead, .placement = Placement::fixed_no_replace})
          .ok() ||
      this->is_mapped(above));
  const VirtAddr to = this->move_to(at, length, length, at - length - pages(3)).value();
  this->store(this->space, to, 5);
  EXPECT_EQ(this->at(child, at), 1U);
  EXPECT_EQ(this->at(child, at + length - pages(1)), 2U);
  EXPECT_EQ(this->at(this->space, to + length - pages(1)), 2U);
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Remaps, TheSourceMayStayEmpty) {
  const VirtAddr at = this->map(pages(3));
  this->store(this->space, at + pages(1), 7);
  const VirtAddr to = this->space
                          .remap({.address = at,
                                  .old_length = pages(3),
                                  .new_length = pages(3),
                                  .move = Remap::Move::anywhere,
                                  .keeps_source = true})
                          .value();
  EXPECT_EQ(this->at(this->space, to + pages(1)), 7U);
  EXPECT_EQ(this->at(this->space, at + pages(1)), 0U);
  EXPECT_EQ(this->space.mapped(), PageCount(6));
}

TYPED_TEST(Remaps, SharedMemoryCanBeMappedOnceMore) {
  const VirtAddr at = this->map(pages(3), Traits::shared());
  this->store(this->space, at + pages(1), 7);
  const VirtAddr second = this->move(at + pages(1), ByteCount(0), pages(2)).value();
  EXPECT_EQ(this->at(this->space, second), 7U);
  this->store(this->space, second + pages(1), 8);
  EXPECT_EQ(this->at(this->space, at + pages(2)), 8U);
  const VirtAddr own = this->map(pages(1));
  EXPECT_EQ(this->move(own, ByteCount(0), pages(1)).error(), Errno::invalid);
}

TYPED_TEST(Remaps, WrongArguments) {
  const VirtAddr at = this->map(pages(4));
  ASSERT_TRUE(this->space.protect(at + pages(2), pages(2), kRead).ok());
  const VirtAddr to = at - pages(12);
  const VirtAddr end = this->space.layout().user[0].end();
  EXPECT_EQ(this->move(at + ByteCount(1), pages(1), pages(2)).error(), Errno::invalid);
  EXPECT_EQ(this->move(at, pages(1), ByteCount(0)).error(), Errno::invalid);
  EXPECT_EQ(this->move(at, pages(1), ByteCount(~std::uint64_t{0})).error(), Errno::invalid);
  EXPECT_EQ(this->move(to, pages(1), pages(2)).error(), Errno::bad_address);
  EXPECT_EQ(this->move(at, pages(3), pages(5)).error(), Errno::bad_address);
  EXPECT_EQ(this->move_to(at, pages(2), pages(2), at + pages(1)).error(), Errno::invalid);
  EXPECT_EQ(this->move_to(at, pages(2), pages(2), to + ByteCount(8)).error(), Errno::invalid);
  EXPECT_EQ(this->move_to(at, pages(2), pages(2), end - pages(1)).error(), Errno::invalid);
  EXPECT_EQ(this->move_to(at, pages(1), pages(1), VirtAddr(0)).error(), Errno::not_permitted);
  EXPECT_EQ(this->error_of({.address = at,
                            .old_length = pages(1),
                            .new_length = pages(2),
                            .move = Remap::Move::anywhere,
                            .keeps_source = true}),
            Errno::invalid);
}

// What was at the target is gone, also where the source is found wanting afterwards.
TYPED_TEST(Remaps, TheTargetIsUnmappedFirst) {
  const VirtAddr at = this->map(pages(4));
  ASSERT_TRUE(this->space.protect(at + pages(2), pages(2), kRead).ok());
  const VirtAddr to = this->map(pages(3));
  EXPECT_EQ(this->move_to(at, pages(3), pages(3), to).error(), Errno::bad_address);
  EXPECT_FALSE(this->is_mapped(to));
}

TYPED_TEST(Remaps, ShortageLeavesTheSourceAsItWas) {
  const ByteCount length = bytes_of(entry_span<TypeParam>(2)) + pages(2);
  const VirtAddr at = this->map(length);
  this->store(this->space, at, 1);
  this->store(this->space, at + length - pages(1), 2);
  const VirtAddr to = at - length - pages(2);
  bool moved = false;
  for (unsigned nth = 1; !moved; ++nth) {
    AddressSpace<TypeParam>& child = *this->space.fork().value();
    this->system.machine().failures().fail_nth(nth);
    const Result<VirtAddr> result = this->move_to(at, length, length, to);
    moved = result.ok();
    this->system.machine().failures().off();
    this->space.check_invariants();
    const VirtAddr now = moved ? to : at;
    EXPECT_EQ(this->at(this->space, now), 1U);
    EXPECT_EQ(this->at(this->space, now + length - pages(1)), 2U);
    EXPECT_EQ(this->space.mapped(), pages_for(length));
    child.destroy();
  }
}

}  // namespace
}  // namespace vellum
