// Discarding, what fork heeds, locking, and the limit of data.

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Marks : public ::testing::Test {
 protected:
  Marks() : space(system.create()) {}
  ~Marks() override {
    space.check_invariants();
    space.destroy();
  }
  [[nodiscard]] Outcome store(AddressSpace<F>& where, VirtAddr at, std::uint64_t value) {
    Program<F> program(where);
    return program.store(at, value);
  }
  [[nodiscard]] std::uint64_t at(AddressSpace<F>& where, VirtAddr address) {
    Program<F> program(where);
    return program.at(address);
  }
  [[nodiscard]] VirtAddr map(ByteCount length, Prot prot = kReadWrite, Traits traits = {}) {
    return space.map({.address = {}, .length = length, .prot = prot, .traits = traits}).value();
  }
  [[nodiscard]] static VirtRange range(VirtAddr at, ByteCount length) { return VirtRange::must(at, length); }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(Marks, test::AllFormats);

TYPED_TEST(Marks, DiscardingGivesThePagesBack) {
  const ByteCount length = bytes_of(entry_span<TypeParam>(2)) + pages(3);
  const VirtAddr at = this->map(length);
  EXPECT_EQ(this->store(this->space, at, 1), Outcome::done);
  EXPECT_EQ(this->store(this->space, at + pages(1), 2), Outcome::done);
  EXPECT_EQ(this->store(this->space, at + length - pages(1), 3), Outcome::done);
  const PageCount resident = this->space.residence().pages;
  EXPECT_TRUE(this->space.discard(this->range(at + pages(1), length - pages(1)), Discard::unlocked).ok());
  EXPECT_EQ(resident - this->space.residence().pages, PageCount(2));
  EXPECT_EQ(this->at(this->space, at), 1U);
  EXPECT_EQ(this->at(this->space, at + pages(1)), 0U);
  EXPECT_EQ(this->at(this->space, at + length - pages(1)), 0U);
  EXPECT_EQ(this->space.mapped(), pages_for(length));
}

TYPED_TEST(Marks, DiscardingIsOnesOwn) {
  const VirtAddr at = this->map(pages(2));
  const VirtAddr shared = this->map(pages(2), kReadWrite, Traits::shared());
  EXPECT_EQ(this->store(this->space, at, 1), Outcome::done);
  EXPECT_EQ(this->store(this->space, shared, 2), Outcome::done);
  AddressSpace<TypeParam>& child = *this->space.fork().value();
  EXPECT_TRUE(child.discard(this->range(at, pages(2)), Discard::unlocked).ok());
  EXPECT_TRUE(child.discard(this->range(shared, pages(2)), Discard::unlocked).ok());
  EXPECT_EQ(this->at(child, at), 0U);
  EXPECT_EQ(this->at(child, shared), 2U);
  EXPECT_EQ(this->at(this->space, at), 1U);
  EXPECT_EQ(child.discard(this->range(shared, pages(1)), Discard::own_memory).error(), Errno::invalid);
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Marks, HolesArePassedOver) {
  const VirtAddr at = this->map(pages(3));
  EXPECT_EQ(this->store(this->space, at + pages(2), 1), Outcome::done);
  ASSERT_TRUE(this->space.unmap(at + pages(1), pages(1)).ok());
  EXPECT_EQ(this->space.discard(this->range(at, pages(3)), Discard::unlocked).error(), Errno::no_memory);
  EXPECT_EQ(this->at(this->space, at + pages(2)), 0U);
  EXPECT_EQ(this->space.lock_memory(this->range(at, pages(3)), LockMemory::now).error(), Errno::no_memory);
  EXPECT_EQ(this->space.locked(), PageCount(1));
}

TYPED_TEST(Marks, AChildLacksWhatItIsNotToHave) {
  const VirtAddr at = this->map(pages(4));
  for (unsigned page = 0; page < 4; ++page) {
    EXPECT_EQ(this->store(this->space, at + pages(page), page + 1), Outcome::done);
  }
  EXPECT_TRUE(this->space.mark(this->range(at, pages(1)), {.add = Traits::left_out_of_forks(), .drop = {}}).ok());
  EXPECT_TRUE(
      this->space.mark(this->range(at + pages(1), pages(1)), {.add = Traits::wiped_by_forks(), .drop = {}}).ok());
  EXPECT_TRUE(this->space.lock_memory(this->range(at + pages(2), pages(1)), LockMemory::now).ok());
  AddressSpace<TypeParam>& child = *this->space.fork().value();
  EXPECT_EQ(child.mapped(), PageCount(3));
  EXPECT_EQ(this->store(child, at, 9), Outcome::no_mapping);
  EXPECT_EQ(this->at(child, at + pages(1)), 0U);
  EXPECT_EQ(this->at(child, at + pages(2)), 3U);
  EXPECT_EQ(child.locked(), PageCount(0));
  EXPECT_EQ(this->space.locked(), PageCount(1));
  EXPECT_EQ(this->at(this->space, at), 1U);
  EXPECT_EQ(this->at(this->space, at + pages(1)), 2U);
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Marks, AForkThatCannotHeedThemFails) {
  const ByteCount length = bytes_of(entry_span<TypeParam>(2)) + pages(2);
  const VirtAddr at = this->map(length);
  EXPECT_EQ(this->store(this->space, at, 1), Outcome::done);
  EXPECT_TRUE(
      this->space.mark(this->range(at + pages(1), pages(1)), {.add = Traits::left_out_of_forks(), .drop = {}}).ok());
  for (unsigned nth = 1;; ++nth) {
    this->system.machine().failures().fail_nth(nth);
    const Result<AddressSpace<TypeParam>*> child = this->space.fork();
    this->system.machine().failures().off();
    this->space.check_invariants();
    EXPECT_EQ(this->at(this->space, at), 1U);
    if (child.ok()) {
      EXPECT_EQ(child.value()->mapped(), pages_for(length) - PageCount(1));
      child.value()->destroy();
      return;
    }
    EXPECT_EQ(child.error(), Errno::no_memory);
  }
}

TYPED_TEST(Marks, LockedMemoryIsThere) {
  const VirtAddr at = this->map(pages(4));
  EXPECT_TRUE(this->space.lock_memory(this->range(at, pages(2)), LockMemory::now).ok());
  EXPECT_TRUE(this->space.is_resident(at + pages(1)));
  EXPECT_TRUE(this->space.lock_memory(this->range(at + pages(2), pages(1)), LockMemory::on_fault).ok());
  EXPECT_FALSE(this->space.is_resident(at + pages(2)));
  EXPECT_EQ(this->space.locked(), PageCount(3));
  EXPECT_EQ(this->space.discard(this->range(at, pages(1)), Discard::unlocked).error(), Errno::invalid);
  EXPECT_TRUE(this->space.discard(this->range(at, pages(1)), Discard::locked_too).ok());
  EXPECT_TRUE(this->space.lock_memory(this->range(at, pages(4)), LockMemory::no).ok());
  EXPECT_EQ(this->space.locked(), PageCount(0));
  const VirtAddr hidden = this->map(pages(1), Prot::none());
  EXPECT_EQ(this->space.lock_memory(this->range(hidden, pages(1)), LockMemory::now).error(), Errno::no_memory);
}

TYPED_TEST(Marks, WhatComesLaterMayBeLockedToo) {
  const VirtAddr before = this->map(pages(1));
  this->space.lock_all(std::nullopt, LockMemory::now);
  const VirtAddr after = this->map(pages(2));
  EXPECT_TRUE(this->space.is_resident(after + pages(1)));
  EXPECT_FALSE(this->space.is_resident(before));
  EXPECT_EQ(this->space.locked(), PageCount(2));
  this->space.lock_all(LockMemory::now, LockMemory::no);
  EXPECT_TRUE(this->space.is_resident(before));
  EXPECT_EQ(this->space.locked(), PageCount(3));
  this->space.lock_all(LockMemory::no, LockMemory::no);
  EXPECT_EQ(this->space.locked(), PageCount(0));
}

TYPED_TEST(Marks, DataIsLimited) {
  const VirtAddr readable = this->map(pages(4), kRead);
  const ByteCount none(~std::uint64_t{0});
  this->space.set_limits(pages(8), none, pages(4));
  const VirtAddr at = this->map(pages(3));
  const auto error = [&](Prot prot, Traits traits) {
    const auto mapped = this->space.map({.address = {}, .length = pages(2), .prot = prot, .traits = traits});
    return mapped.ok() ? Errno{} : mapped.error();
  };
  EXPECT_EQ(error(kReadWrite, {}), Errno::no_memory);
  EXPECT_EQ(error(kRead, {}), Errno{});
  EXPECT_EQ(error(kReadWrite, Traits::shared()), Errno{});
  EXPECT_EQ(this->space.protect(readable, pages(2), kReadWrite).error(), Errno::no_memory);
  EXPECT_TRUE(this->space.protect(readable, pages(1), kReadWrite).ok());
  EXPECT_EQ(
      this->space.remap({.address = at, .old_length = pages(3), .new_length = pages(4), .move = Remap::Move::anywhere})
          .error(),
      Errno::no_memory);
}

// Between pieces the system is asked whether there is to be more.
TYPED_TEST(Marks, LockingEndsWhereItIsToldTo) {
  const ByteCount length = bytes_of(VirtualMemory<TypeParam>::kPiece) * 2 + pages(1);
  const Result<VirtAddr> mapped = this->space.map({.address = {}, .length = length, .prot = kRead});
  if (!mapped.ok()) {
    return;  // a toy format has no room for two pieces
  }
  const VirtAddr at = mapped.value();
  this->space.system().may_go_on = [] { return false; };
  EXPECT_EQ(this->space.lock_memory(this->range(at, length), LockMemory::now).error(), Errno::interrupted);
  EXPECT_TRUE(this->space.is_resident(at));
  EXPECT_FALSE(this->space.is_resident(at + length - pages(1)));
  EXPECT_EQ(this->space.locked(), pages_for(length));
  this->space.lock_all(LockMemory::now, LockMemory::no);
  EXPECT_FALSE(this->space.is_resident(at + length - pages(1)));
  this->space.system().may_go_on = [] { return true; };
  EXPECT_TRUE(this->space.lock_memory(this->range(at, length), LockMemory::now).ok());
  EXPECT_TRUE(this->space.is_resident(at + length - pages(1)));
}

TYPED_TEST(Marks, PopulatingEndsWhereItIsToldTo) {
  const ByteCount length = bytes_of(VirtualMemory<TypeParam>::kPiece) * 2;
  this->space.system().may_go_on = [] { return false; };
  const Result<VirtAddr> mapped =
      this->space.map({.address = {}, .length = length, .prot = kRead, .populate = Populate::now});
  if (!mapped.ok()) {
    return;
  }
  const VirtAddr at = mapped.value();
  EXPECT_TRUE(this->space.is_resident(at));
  EXPECT_FALSE(this->space.is_resident(at + length - pages(1)));
}

TYPED_TEST(Marks, WhatIsInMemoryIsListedAsFarAsItIsMapped) {
  const VirtAddr at = this->map(pages(8));
  EXPECT_EQ(this->store(this->space, at + pages(1), 1), Outcome::done);
  EXPECT_TRUE(this->space.protect(at + pages(3), pages(2), kRead).ok());
  EXPECT_TRUE(this->space.unmap(at + pages(6), pages(1)).ok());
  std::uint8_t present[8] = {};
  EXPECT_EQ(this->space.list_resident(this->range(at + pages(1), pages(5)), present), PageCount(5));
  for (unsigned i = 0; i < 5; ++i) {
    EXPECT_EQ(present[i] != 0, this->space.is_resident(at + pages(1 + i)));
  }
  EXPECT_EQ(present[0], 1);
  EXPECT_EQ(this->space.list_resident(this->range(at + pages(4), pages(4)), present), PageCount(2));
}

}  // namespace
}  // namespace vellum
