// Holes that are punched into objects, clean pages that are let go, and stacks that are locked.

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::MemoryPager;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Advice : public ::testing::Test {
 protected:
  static constexpr std::uint64_t table = entry_span<F>(2).value();

  Advice()
      : pager(system.new_pager(pages(2 * table))),
        file(*system.vm().objects.create_file(pager, pages(2 * table)).value()),
        memory(*system.vm().objects.create_anonymous(pages(2 * table)).value()),
        first(system.create()),
        second(system.create()) {}
  ~Advice() override {
    for (AddressSpace<F>* const space : {&first, &second}) {
      space->check_invariants();
      space->destroy();
    }
    file.release();
    memory.release();
  }
  // `skew` pages from where the object's tables could be linked.
  [[nodiscard]] VirtAddr map(AddressSpace<F>& space, MemoryObject<F>& object, std::uint64_t skew, Prot prot,
                             Traits traits) {
    return space
        .map({.address = VirtAddr(2 * table * kPageSize) + pages(skew),
              .length = pages(2 * table),
              .prot = prot,
              .traits = traits,
              .placement = Placement::fixed,
              .object = &object})
        .value();
  }
  [[nodiscard]] static IndexRange range(std::uint64_t first_page, std::uint64_t count) {
    return IndexRange::must(PageIndex(first_page), PageCount(count));
  }
  [[nodiscard]] static std::uint64_t at(AddressSpace<F>& where, VirtAddr address) {
    Program<F> program(where);
    return program.at(address);
  }
  [[nodiscard]] static Outcome store(AddressSpace<F>& where, VirtAddr address, std::uint64_t value) {
    Program<F> program(where);
    return program.store(address, value);
  }

  test::SpaceSystem<F> system;
  MemoryPager& pager;
  MemoryObject<F>& file;
  MemoryObject<F>& memory;
  AddressSpace<F>& first;
  AddressSpace<F>& second;
};
TYPED_TEST_SUITE(Advice, test::AllFormats);

TYPED_TEST(Advice, AHoleGivesThePagesBackAndReadsAsZeros) {
  using F = TypeParam;
  const VirtAddr linked = this->map(this->first, this->memory, 0, kReadWrite, Traits::shared());
  const VirtAddr skewed = this->map(this->second, this->memory, 1, kReadWrite, Traits::shared());
  for (std::uint64_t page = 0; page < 6; ++page) {
    EXPECT_EQ(this->store(this->first, linked + pages(page), page + 1), Outcome::done);
  }
  Program<F> other(this->second);  // with translations of its own
  EXPECT_EQ(other.at(skewed + pages(2)), 3U);
  EXPECT_EQ(other.store(skewed + pages(3), 44), Outcome::done);
  const PageCount used = this->system.memory().free_count();
  ASSERT_TRUE(this->memory.punch(this->range(1, 3)).ok());
  EXPECT_EQ(this->system.memory().free_count() - used, PageCount(3));
  EXPECT_EQ(this->memory.resident(), PageCount(3));
  EXPECT_FALSE(this->first.is_resident(linked + pages(2)));
  EXPECT_FALSE(this->second.is_resident(skewed + pages(2)));
  EXPECT_EQ(other.at(skewed + pages(2)), 0U);
  EXPECT_EQ(other.at(skewed + pages(3)), 0U);
  EXPECT_EQ(other.at(skewed), 1U);
  EXPECT_EQ(other.at(skewed + pages(4)), 5U);
  EXPECT_EQ(other.store(skewed + pages(2), 9), Outcome::done);
  EXPECT_EQ(this->memory.size(), pages(2 * this->table));
  ASSERT_TRUE(this->memory.punch(this->range(0, ~std::uint64_t{0} >> 20)).ok());  // far beyond the end
  EXPECT_EQ(this->memory.resident(), PageCount(0));
  EXPECT_EQ(other.at(skewed + pages(2)), 0U);
}

TYPED_TEST(Advice, PrivateCopiesStayWhereAHoleIsPunched) {
  const VirtAddr at = this->map(this->first, this->memory, 0, kReadWrite, {});
  const VirtAddr shared = this->map(this->second, this->memory, 0, kReadWrite, Traits::shared());
  EXPECT_EQ(this->store(this->second, shared, 1), Outcome::done);
  EXPECT_EQ(this->store(this->second, shared + pages(1), 2), Outcome::done);
  EXPECT_EQ(this->store(this->first, at, 7), Outcome::done);
  EXPECT_EQ(this->at(this->first, at + pages(1)), 2U);
  AddressSpace<TypeParam>& child = *this->first.fork().value();
  ASSERT_TRUE(this->memory.punch(this->range(0, 2)).ok());
  EXPECT_EQ(this->at(this->first, at), 7U);
  EXPECT_EQ(this->at(child, at), 7U);
  EXPECT_EQ(this->at(child, at + pages(1)), 0U);
  EXPECT_EQ(this->at(this->first, at + pages(1)), 0U);
  EXPECT_EQ(this->at(this->second, shared), 0U);
  child.destroy();
}

TYPED_TEST(Advice, WhereThePagerHasBytesZerosAreWritten) {
  const VirtAddr at = this->map(this->first, this->file, 0, kRead, Traits::shared());
  EXPECT_EQ(this->at(this->first, at + pages(1)), MemoryPager::first_word(PageIndex(1)));
  ASSERT_TRUE(this->file.punch(this->range(1, 2)).ok());
  EXPECT_EQ(this->at(this->first, at + pages(1)), 0U);
  EXPECT_EQ(this->at(this->first, at + pages(2)), 0U);
  EXPECT_EQ(this->at(this->first, at + pages(3)), MemoryPager::first_word(PageIndex(3)));
  EXPECT_EQ(this->file.dirty(), PageCount(2));
  this->pager.error = Errno::io_error;
  EXPECT_EQ(this->file.punch(this->range(5, 1)).error(), Errno::io_error);
}

TYPED_TEST(Advice, CleanPagesOfOnesOwnAreLetGo) {
  for (const std::uint64_t skew : {0U, 1U}) {
    const VirtAddr at = this->map(this->first, this->file, skew, kReadWrite, Traits::shared());
    Program<TypeParam> program(this->first);
    for (std::uint64_t page = 0; page < 4; ++page) {
      EXPECT_EQ(program.at(at + pages(page)), MemoryPager::first_word(PageIndex(page)));
    }
    EXPECT_EQ(program.store(at + pages(2) + ByteCount(8), skew + 1), Outcome::done);
    EXPECT_EQ(this->first.page_out(this->file, this->range(0, 4)), PageCount(3));
    EXPECT_FALSE(this->first.is_resident(at));
    EXPECT_TRUE(this->first.is_resident(at + pages(2)));
    EXPECT_EQ(program.at(at + pages(1)), MemoryPager::first_word(PageIndex(1)));
    EXPECT_EQ(program.at(at + pages(2) + ByteCount(8)), skew + 1);
    EXPECT_TRUE(this->file.write_back(this->range(0, 4)).ok());
    EXPECT_EQ(this->first.page_out(this->file, this->range(0, 4)), PageCount(2));
    EXPECT_EQ(program.at(at + pages(2) + ByteCount(8)), skew + 1);
  }
}

TYPED_TEST(Advice, WhatOthersMapOrHoldStays) {
  const VirtAddr at = this->map(this->first, this->file, 0, kRead, {});
  EXPECT_EQ(this->at(this->first, at), MemoryPager::first_word(PageIndex(0)));
  (void)this->map(this->second, this->file, 0, kRead, {});
  EXPECT_EQ(this->first.page_out(this->file, this->range(0, 4)), PageCount(0));
  ASSERT_TRUE(this->second.unmap(at, pages(2 * this->table)).ok());
  AddressSpace<TypeParam>& child = *this->first.fork().value();
  EXPECT_EQ(this->first.page_out(this->file, this->range(0, 4)), PageCount(0));
  child.destroy();
  EXPECT_EQ(this->first.page_out(this->memory, this->range(0, 4)), PageCount(0));
  EXPECT_EQ(this->first.page_out(this->file, this->range(0, 4)), PageCount(1));
  EXPECT_EQ(this->at(this->first, at), MemoryPager::first_word(PageIndex(0)));
}

TYPED_TEST(Advice, PrivateCopiesAreNotLetGo) {
  const VirtAddr at = this->map(this->first, this->file, 0, kReadWrite, {});
  EXPECT_EQ(this->store(this->first, at, 5), Outcome::done);
  EXPECT_EQ(this->at(this->first, at + pages(1)), MemoryPager::first_word(PageIndex(1)));
  EXPECT_EQ(this->first.page_out(this->file, this->range(0, 4)), PageCount(2));
  EXPECT_TRUE(this->first.is_resident(at));
  EXPECT_FALSE(this->first.is_resident(at + pages(1)));
  EXPECT_EQ(this->at(this->first, at), 5U);
}

TYPED_TEST(Advice, ALockedStackKeepsToItsLimit) {
  const VirtAddr top = VirtAddr(2 * this->table * kPageSize);
  const VirtAddr stack = this->first
                             .map({.address = top - pages(2),
                                   .length = pages(2),
                                   .prot = kReadWrite,
                                   .traits = Traits::grows_down(),
                                   .placement = Placement::fixed})
                             .value();
  ASSERT_TRUE(this->first.lock_memory(VirtRange::must(stack, pages(2)), LockMemory::now).ok());
  this->first.set_lock_limit(pages(4) + ByteCount(100));
  EXPECT_EQ(this->store(this->first, top - pages(5), 1), Outcome::no_mapping);
  EXPECT_EQ(this->store(this->first, top - pages(4), 1), Outcome::done);
  EXPECT_EQ(this->store(this->first, top - pages(5), 1), Outcome::no_mapping);
  EXPECT_EQ(this->first.locked(), PageCount(4));
  ASSERT_TRUE(this->first.lock_memory(VirtRange::must(top - pages(4), pages(4)), LockMemory::no).ok());
  EXPECT_EQ(this->store(this->first, top - pages(5), 1), Outcome::done);
}

}  // namespace
}  // namespace vellum
