// Pages that somebody supplies.

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Supply : public ::testing::Test {
 protected:
  Supply() : space(system.create()), at(space.map({.address = {}, .length = pages(8), .prot = kReadWrite}).value()) {
    contents.fill(std::byte{0x5A});
    mark(4, Traits::supplied(), {});
  }
  ~Supply() override {
    space.check_invariants();
    space.destroy();
  }
  void mark(std::uint64_t count, Traits add, Traits drop) {
    ASSERT_TRUE(space.mark(VirtRange::must(at, pages(count)), {.add = add, .drop = drop}).ok());
  }

  static constexpr std::uint64_t kFilled = 0x5A5A'5A5A'5A5A'5A5A;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr at;
  std::array<std::byte, kPageSize> contents{};
};
TYPED_TEST_SUITE(Supply, test::AllFormats);

TYPED_TEST(Supply, WhatIsMissingIsSaidAndCanBeSupplied) {
  Program<TypeParam> program(this->space);
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(this->at, value), Outcome::missing);
  EXPECT_EQ(program.store(this->at, 1), Outcome::missing);
  EXPECT_EQ(program.store(this->at + pages(4), 1), Outcome::done);
  EXPECT_FALSE(this->space.is_resident(this->at));
  ASSERT_TRUE(this->space.supply(this->at, this->contents).ok());
  EXPECT_EQ(program.at(this->at), this->kFilled);
  EXPECT_EQ(program.store(this->at, 1), Outcome::done);
  ASSERT_TRUE(this->space.supply(this->at + pages(1), std::nullopt).ok());
  EXPECT_EQ(program.at(this->at + pages(1)), 0U);
  EXPECT_EQ(program.store(this->at + pages(1), 2), Outcome::done);
  EXPECT_EQ(program.at(this->at + pages(1)), 2U);
}

TYPED_TEST(Supply, OnlyWhereSomebodyIsToAndNothingIs) {
  Program<TypeParam> program(this->space);
  EXPECT_EQ(this->space.supply(this->at + pages(5), this->contents).error(), Errno::no_entry);
  EXPECT_EQ(this->space.supply(this->at + pages(8), this->contents).error(), Errno::no_entry);
  ASSERT_TRUE(this->space.supply(this->at, this->contents).ok());
  EXPECT_EQ(this->space.supply(this->at, this->contents).error(), Errno::exists);
  EXPECT_EQ(this->space.supply(this->at, std::nullopt).error(), Errno::exists);
}

TYPED_TEST(Supply, WhatMayNotBeReadCanBeSuppliedAndWhatIsDiscardedIsMissing) {
  Program<TypeParam> program(this->space);
  ASSERT_TRUE(this->space.protect(this->at, pages(2), Prot::none()).ok());
  ASSERT_TRUE(this->space.supply(this->at, this->contents).ok());
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(this->at, value), Outcome::access_denied);
  ASSERT_TRUE(this->space.protect(this->at, pages(2), kRead).ok());
  EXPECT_EQ(program.at(this->at), this->kFilled);
  EXPECT_EQ(program.store(this->at, 1), Outcome::access_denied);
  ASSERT_TRUE(this->space.discard(VirtRange::must(this->at, pages(1)), Discard::unlocked).ok());
  EXPECT_EQ(program.load(this->at, value), Outcome::missing);
}

TYPED_TEST(Supply, ForksDoNotWait) {
  ASSERT_TRUE(this->space.supply(this->at, this->contents).ok());
  AddressSpace<TypeParam>& child = *this->space.fork().value();
  {
    Program<TypeParam> program(child);
    EXPECT_EQ(program.at(this->at), this->kFilled);
    EXPECT_EQ(program.at(this->at + pages(1)), 0U);
  }
  // Into a table that both reach: the parent's alone.
  ASSERT_TRUE(this->space.supply(this->at + pages(2), this->contents).ok());
  {
    Program<TypeParam> program(child);
    EXPECT_EQ(program.at(this->at + pages(2)), 0U);
  }
  {
    Program<TypeParam> program(this->space);
    EXPECT_EQ(program.at(this->at + pages(2)), this->kFilled);
  }
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Supply, NothingIsLostWhenMemoryIsShort) {
  for (std::uint64_t n = 1;; ++n) {
    ASSERT_LT(n, 100U);
    this->system.machine().failures().fail_nth(n);
    const Result<void> supplied = this->space.supply(this->at, this->contents);
    this->system.machine().failures().off();
    if (supplied.ok()) {
      break;
    }
    EXPECT_EQ(supplied.error(), Errno::no_memory);
    EXPECT_FALSE(this->space.is_resident(this->at));
  }
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.at(this->at), this->kFilled);
}

}  // namespace
}  // namespace vellum
