// What an access finds: verdicts, zero pages, copies on write.

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadExecute;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Faults : public ::testing::Test {
 protected:
  Faults() : space(system.create()) {}
  ~Faults() override {
    space.check_invariants();
    space.destroy();
  }
  [[nodiscard]] VirtAddr map(ByteCount length, Prot prot, Traits traits = {}) {
    return space.map({.address = {}, .length = length, .prot = prot, .traits = traits}).value();
  }
  [[nodiscard]] VirtAddr map(MemoryObject<F>& object, ByteCount length, Prot prot, Traits traits = {}) {
    return space.map({.address = {}, .length = length, .prot = prot, .traits = traits, .object = &object}).value();
  }
  [[nodiscard]] static Outcome touch(Program<F>& program, VirtAddr at, Access access) {
    std::uint64_t value = 0;
    switch (access) {
      case Access::read:
        return program.load(at, value);
      case Access::write:
        return program.store(at, 1);
      case Access::execute:
        return program.fetch(at);
    }
    return Outcome::done;
  }
  [[nodiscard]] PageCount free_pages() { return system.memory().free_count(); }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(Faults, test::AllFormats);

constexpr Access kAccesses[] = {Access::read, Access::write, Access::execute};

// As on x86: what may be written or executed may be read.
constexpr bool is_permitted(unsigned prot, Access access) {
  switch (access) {
    case Access::read:
      return prot != 0;
    case Access::write:
      return (prot & 2) != 0;
    case Access::execute:
      return (prot & 4) != 0;
  }
  return false;
}

TYPED_TEST(Faults, EachRightPermitsItsAccesses) {
  test::MemoryPager& pager = this->system.new_pager(pages(8));
  MemoryObject<TypeParam>& file = *this->system.vm().objects.create_file(pager, pages(8)).value();
  const VirtAddr hole = this->map(pages(3), kRead) + pages(1);
  ASSERT_TRUE(this->space.unmap(hole, pages(1)).ok());
  Program<TypeParam> program(this->space);
  for (const Access access : kAccesses) {
    EXPECT_EQ(this->touch(program, hole, access), Outcome::no_mapping);
  }
  for (unsigned bits = 0; bits < 8; ++bits) {
    for (const Access access : kAccesses) {
      const Outcome expected = is_permitted(bits, access) ? Outcome::done : Outcome::access_denied;
      const Prot prot = Prot::from_bits(bits);
      // Untouched; private and shared; of a file and anonymous.
      EXPECT_EQ(this->touch(program, this->map(pages(1), prot), access), expected);
      EXPECT_EQ(this->touch(program, this->map(pages(1), prot, Traits::shared()), access), expected);
      EXPECT_EQ(this->touch(program, this->map(file, pages(1), prot), access), expected);
      EXPECT_EQ(this->touch(program, this->map(file, pages(1), prot, Traits::shared()), access), expected);
      // Touched before, by a read and by a write, and then protected.
      const VirtAddr touched = this->map(pages(2), kReadWrite);
      EXPECT_EQ(program.at(touched), 0U);
      EXPECT_EQ(program.store(touched + pages(1), 7), Outcome::done);
      ASSERT_TRUE(this->space.protect(touched, pages(2), prot).ok());
      EXPECT_EQ(this->touch(program, touched, access), expected);
      EXPECT_EQ(this->touch(program, touched + pages(1), access), expected);
      ASSERT_TRUE(this->space.unmap(this->space.layout().user[0].start(), this->space.layout().user[0].size()).ok());
    }
  }
  file.release();
}

TYPED_TEST(Faults, ReadingShowsThePageOfZerosAndWritingAPageOfOnesOwn) {
  const VirtAddr at = this->map(pages(3), kReadWrite);
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.at(at), 0U);
  EXPECT_EQ(program.at(at + pages(1)), 0U);
  EXPECT_EQ(this->space.residence().pages, PageCount(0));
  const PageCount before = this->free_pages();
  EXPECT_EQ(program.store(at, 5), Outcome::done);
  EXPECT_EQ(before - this->free_pages(), PageCount(1));
  EXPECT_EQ(this->space.residence().pages, PageCount(1));
  EXPECT_EQ(program.at(at), 5U);
  EXPECT_EQ(program.at(at + ByteCount(8)), 0U);
  EXPECT_EQ(program.at(at + pages(1)), 0U);
  EXPECT_EQ(program.store(at + pages(1), 6), Outcome::done);
  EXPECT_EQ(program.at(at + pages(1)), 6U);
  EXPECT_EQ(program.at(at + pages(2)), 0U);
}

TYPED_TEST(Faults, AWrittenPageFaultsNoMore) {
  const VirtAddr at = this->map(pages(1), kReadWrite);
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.store(at, 1), Outcome::done);
  const std::uint64_t before = program.faults();
  EXPECT_EQ(program.store(at, 2), Outcome::done);
  EXPECT_EQ(program.at(at), 2U);
  EXPECT_EQ(program.faults(), before);
}

TYPED_TEST(Faults, TheLastOwnerWritesThePageThatItHas) {
  using F = TypeParam;
  const VirtAddr at = this->map(pages(4), kReadWrite);
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
  }
  AddressSpace<F>& child = *this->space.fork().value();
  {
    Program<F> program(child);
    const PageCount before = this->space.residence().pages + child.residence().pages;
    EXPECT_EQ(program.store(at, 6), Outcome::done);
    EXPECT_EQ(this->space.residence().pages + child.residence().pages, before);  // one each, two frames now
  }
  const PageCount before = this->free_pages();
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.store(at, 7), Outcome::done);
    EXPECT_EQ(program.at(at), 7U);
  }
  EXPECT_EQ(this->free_pages(), before);  // neither a page nor a table
  {
    Program<F> program(child);
    EXPECT_EQ(program.at(at), 6U);
  }
  child.destroy();
}

// Two processors run one space; one of them has seen the page of zeros, the file's page, the page shared with a child.
TYPED_TEST(Faults, ACopyIsSeenByEveryProcessor) {
  using F = TypeParam;
  test::SpaceSystem<F> two({.cpus = 2});
  test::MemoryPager& pager = two.new_pager(pages(2));
  MemoryObject<F>& file = *two.vm().objects.create_file(pager, pages(2)).value();
  AddressSpace<F>& space = two.create();
  const VirtAddr at = space.map({.address = {}, .length = pages(3), .prot = kReadWrite}).value();
  const VirtAddr own = space.map({.address = {}, .length = pages(2), .prot = kReadWrite, .object = &file}).value();
  ASSERT_EQ(space.fault(at + pages(1), Access::write), FaultVerdict::resolved);
  AddressSpace<F>* child = nullptr;
  {
    const hosted::CpuScope other(two.machine(), CpuIndex(1));
    Program<F> reader(space);
    const auto on_first = [&](auto body) {
      const hosted::CpuScope first(two.machine(), CpuIndex(0));
      body();
    };
    EXPECT_EQ(reader.at(at), 0U);
    on_first([&] {
      Program<F> writer(space);
      EXPECT_EQ(writer.store(at, 1), Outcome::done);
    });
    EXPECT_EQ(reader.at(at), 1U);
    EXPECT_EQ(reader.at(own), pager.first_word(PageIndex(0)));
    on_first([&] {
      Program<F> writer(space);
      EXPECT_EQ(writer.store(own, 3), Outcome::done);
    });
    EXPECT_EQ(reader.at(own), 3U);
    // After this store the table is the space's own again, but not yet the page before it.
    on_first([&] {
      child = space.fork().value();
      EXPECT_EQ(space.fault(at + pages(2), Access::write), FaultVerdict::resolved);
    });
    EXPECT_EQ(reader.at(at + pages(1)), 0U);
    on_first([&] {
      Program<F> writer(space);
      EXPECT_EQ(writer.store(at + pages(1), 2), Outcome::done);
    });
    EXPECT_EQ(reader.at(at + pages(1)), 2U);
  }
  child->destroy();
  space.destroy();
  file.release();
}

TYPED_TEST(Faults, ThePageIsFreeToItsOwnerWhenTheOtherHasGone) {
  using F = TypeParam;
  const VirtAddr at = this->map(pages(2), kReadWrite);
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
  }
  AddressSpace<F>& child = *this->space.fork().value();
  child.destroy();
  this->system.vm().epochs.drain();
  const PageCount before = this->free_pages();
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.store(at, 7), Outcome::done);
  }
  EXPECT_EQ(this->free_pages(), before);
}

// Who fills memory in order takes few faults, and who jumps about in it one for each page.
TYPED_TEST(Faults, FillManyPagesAtOnceWhereAProgramGoesInOrder) {
  using F = TypeParam;
  constexpr std::uint64_t kPages = 48;
  this->system.vm().most_in_order = 16;
  const VirtAddr at = this->map(pages(kPages), kReadWrite);
  const VirtAddr apart = this->map(pages(kPages), kReadWrite);
  Program<F> program(this->space);
  for (std::uint64_t page = 0; page < kPages; page += 2) {
    EXPECT_EQ(program.store(apart + pages(page), page + 1), Outcome::done);
  }
  const std::uint64_t faults = program.faults();
  EXPECT_GE(faults, kPages / 2);
  const PageCount before = this->space.residence().pages;
  const PageCount free = this->free_pages();
  for (std::uint64_t page = 0; page < kPages; ++page) {
    EXPECT_EQ(program.store(at + pages(page) + ByteCount(8), page + 1), Outcome::done);
  }
  EXPECT_LT(program.faults() - faults, kPages * 9 / 10);
  EXPECT_EQ(this->space.residence().pages - before, PageCount(kPages));
  EXPECT_GE(free - this->free_pages(), PageCount(kPages));
  for (std::uint64_t page = 0; page < kPages; ++page) {
    EXPECT_EQ(program.at(at + pages(page)), 0U);
    EXPECT_EQ(program.at(at + pages(page) + ByteCount(8)), page + 1);
    EXPECT_EQ(program.at(apart + pages(page)), page % 2 == 0 ? page + 1 : 0);
  }
  // Not over the end of what may be written, nor over what is there.
  const VirtAddr edge = this->map(pages(8), kReadWrite);
  ASSERT_TRUE(this->space.protect(edge + pages(5), pages(3), kRead).ok());
  EXPECT_EQ(program.store(edge + pages(4), 4), Outcome::done);
  for (std::uint64_t page = 0; page < 4; ++page) {
    EXPECT_EQ(program.store(edge + pages(page), page), Outcome::done);
  }
  EXPECT_EQ(program.at(edge + pages(4)), 4U);
  EXPECT_EQ(program.store(edge + pages(5), 1), Outcome::access_denied);
  EXPECT_EQ(program.at(edge + pages(5)), 0U);
}

TYPED_TEST(Faults, PrivateWritesDoNotReachTheFile) {
  using F = TypeParam;
  test::MemoryPager& pager = this->system.new_pager(pages(4));
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, pages(4)).value();
  const VirtAddr own = this->map(file, pages(4), kReadWrite);
  const VirtAddr seen = this->map(file, pages(4), kRead, Traits::shared());
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.at(own), pager.first_word(PageIndex(0)));
    EXPECT_EQ(program.store(own, 1), Outcome::done);             // a page that was read before
    EXPECT_EQ(program.store(own + pages(1), 2), Outcome::done);  // and one that was not
    EXPECT_EQ(program.at(own), 1U);
    EXPECT_EQ(program.at(own + pages(1)), 2U);
    EXPECT_EQ(program.at(own + pages(1) + ByteCount(8)), 0U);
    EXPECT_EQ(program.at(seen), pager.first_word(PageIndex(0)));
    EXPECT_EQ(program.at(seen + pages(1)), pager.first_word(PageIndex(1)));
    // What is not copied yet shows what is written to the file.
    const std::uint64_t word = 99;
    ASSERT_TRUE(file.write(pages(2), std::as_bytes(std::span(&word, 1))).ok());
    ASSERT_TRUE(file.write(ByteCount(0), std::as_bytes(std::span(&word, 1))).ok());
    EXPECT_EQ(program.at(own + pages(2)), 99U);
    EXPECT_EQ(program.at(seen), 99U);
    EXPECT_EQ(program.at(own), 1U);
  }
  EXPECT_EQ(file.dirty(), PageCount(2));
  file.release();
}

// Who reads a page of a file has those beside it that are in memory as well, as far as they are of one aligned stretch.
TYPED_TEST(Faults, AReadOfAFileMapsWhatIsInMemoryBesideIt) {
  using F = TypeParam;
  this->system.vm().most_in_order = 16;
  test::MemoryPager& pager = this->system.new_pager(pages(64));
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, pages(64)).value();
  for (std::uint64_t page = 0; page < 40; ++page) {
    ASSERT_TRUE(file.populate(PageIndex(page)).ok());
  }
  const VirtAddr at = this->map(file, pages(64), kReadWrite);
  ASSERT_TRUE(this->space.protect(at + pages(30), pages(1), Prot::none()).ok());
  const PageCount before = this->space.residence().pages;
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.at(at + pages(20)), pager.first_word(PageIndex(20)));
    const std::uint64_t faults = program.faults();
    EXPECT_EQ(this->space.residence().pages - before, PageCount(14));  // up to where something else is meant
    for (std::uint64_t page = 16; page < 30; ++page) {
      EXPECT_EQ(program.at(at + pages(page)), pager.first_word(PageIndex(page)));
    }
    EXPECT_EQ(program.faults(), faults);
    EXPECT_EQ(this->touch(program, at + pages(30), Access::read), Outcome::access_denied);
    EXPECT_EQ(program.at(at + pages(33)), pager.first_word(PageIndex(33)));
    EXPECT_EQ(this->space.residence().pages - before, PageCount(14 + 8));  // as far as they are in memory
    EXPECT_EQ(program.store(at + pages(17), 5), Outcome::done);
    EXPECT_EQ(program.at(at + pages(17)), 5U);
    EXPECT_EQ(program.at(at + pages(18)), pager.first_word(PageIndex(18)));
    file.resize(pages(18));
    EXPECT_EQ(program.at(at + pages(16)), pager.first_word(PageIndex(16)));
    EXPECT_EQ(this->touch(program, at + pages(19), Access::read), Outcome::bus_error);
  }
  EXPECT_EQ(file.dirty(), PageCount(0));
  file.release();
}

TYPED_TEST(Faults, BeyondTheEndOfTheFileIsABusError) {
  using F = TypeParam;
  test::MemoryPager& pager = this->system.new_pager(ByteCount(kPageSize + 100));
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, ByteCount(kPageSize + 100)).value();
  for (const Traits traits : {Traits(), Traits::shared()}) {
    const VirtAddr at = this->map(file, pages(4), kReadWrite | Prot::execute(), traits);
    Program<F> program(this->space);
    EXPECT_EQ(program.at(at + pages(1)), pager.first_word(PageIndex(1)));
    EXPECT_EQ(program.at(at + pages(2) - ByteCount(8)), 0U);  // of the last page all can be read
    EXPECT_EQ(program.store(at + pages(2) - ByteCount(8), 3), Outcome::done);
    for (const Access access : kAccesses) {
      EXPECT_EQ(this->touch(program, at + pages(2), access), Outcome::bus_error);
      EXPECT_EQ(this->touch(program, at + pages(3), access), Outcome::bus_error);
    }
    // Rights come first.
    ASSERT_TRUE(this->space.protect(at, pages(4), kRead).ok());
    EXPECT_EQ(program.store(at + pages(2), 1), Outcome::access_denied);
  }
  file.release();
}

TYPED_TEST(Faults, AFileThatCannotBeReadIsABusErrorUntilItCan) {
  using F = TypeParam;
  test::MemoryPager& pager = this->system.new_pager(pages(4));
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, pages(4)).value();
  const VirtAddr at = this->map(file, pages(4), kReadWrite);
  Program<F> program(this->space);
  const PageCount before = this->free_pages();
  pager.error = Errno::io_error;
  for (const Access access : kAccesses) {
    EXPECT_EQ(this->touch(program, at, access),
              access == Access::execute ? Outcome::access_denied : Outcome::bus_error);
  }
  pager.error = Errno::no_memory;
  EXPECT_EQ(program.store(at, 1), Outcome::out_of_memory);
  EXPECT_LE(before - this->free_pages(), PageCount(F::kLevels + 2));  // tables and their nodes at most
  EXPECT_EQ(file.resident(), PageCount(0));
  pager.error.reset();
  EXPECT_EQ(program.at(at), pager.first_word(PageIndex(0)));
  file.release();
}

TYPED_TEST(Faults, ExecutionNeedsItsRightAlsoOnAWrittenPage) {
  using F = TypeParam;
  const VirtAddr at = this->map(pages(2), kReadWrite);
  Program<F> program(this->space);
  EXPECT_EQ(program.store(at, 1), Outcome::done);
  EXPECT_EQ(program.fetch(at), Outcome::access_denied);
  ASSERT_TRUE(this->space.protect(at, pages(1), kReadExecute).ok());
  EXPECT_EQ(program.fetch(at), Outcome::done);
  EXPECT_EQ(program.store(at, 2), Outcome::access_denied);
  EXPECT_EQ(program.at(at), 1U);
  EXPECT_EQ(program.fetch(at + pages(1)), Outcome::access_denied);
}

}  // namespace
}  // namespace vellum
