// What spaces share, and what becomes of it when one of them changes: tables of objects, tables below a meaning that
// moved, the end of a file.
#include <array>
#include <vector>

#include <vellum/test/test.hpp>

#include "test/fixture.hpp"
#include "test/stores.hpp"

namespace vellum {
namespace {

using test::Outcome;

template <class F>
class Sharing : public ::testing::Test {};
using Formats = ::testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(Sharing, Formats);

constexpr Prot kReadWrite = Prot::read() | Prot::write();

[[nodiscard]] constexpr ByteCount pages(std::uint64_t count) { return ByteCount(count * kPageSize); }

TYPED_TEST(Sharing, ATableOfAnObjectIsCopiedForTheAddressesWhereItStands) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  const ByteCount table = bytes_of(entry_span<F>(2));
  const VirtAddr at(2 * table.value());
  test::FilePager pager(1, table);
  MemoryObject<F>& file = *system.vm().objects.create_file(pager, table).value();
  AddressSpace<F>& space = system.create();
  ASSERT_TRUE(space
                  .map({.address = at,
                        .length = table,
                        .prot = kReadWrite,
                        .traits = Traits::shared(),
                        .placement = Placement::fixed,
                        .object = &file})
                  .ok());
  {
    test::Program<F> program(space);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
    EXPECT_EQ(program.store(at + pages(1), 6), Outcome::done);
    ASSERT_TRUE(space.protect(at + pages(1), pages(1), Prot::read()).ok());
    space.check_invariants();
    EXPECT_EQ(file.dirty(), PageCount(2));
    EXPECT_EQ(program.store(at + pages(1), 7), Outcome::access_denied);
    EXPECT_EQ(program.at(at + pages(1)), 6U);
    EXPECT_EQ(program.store(at + pages(2), 8), Outcome::done);
    ASSERT_TRUE(space.unmap(at + pages(2), pages(1)).ok());
    EXPECT_EQ(program.at(at), 5U);
  }
  space.check_invariants();
  space.destroy();
  file.release();
}

// Denied to some tables, then, from further up, to their neighbours: the meaning moves up, and the denial stays behind
// in the entries of the tables.
TYPED_TEST(Sharing, RightsComeBackToTablesBelowAMeaningThatMovedUp) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space = system.create();
  const ByteCount whole = bytes_of(entry_span<F>(3));
  const ByteCount half = ByteCount(whole.value() / 2);
  const VirtAddr at(whole.value());
  ASSERT_TRUE(space
                  .map({.address = at,
                        .length = whole + pages(1),
                        .prot = kReadWrite,
                        .traits = Traits::no_reserve(),
                        .placement = Placement::fixed})
                  .ok());
  {
    test::Program<F> program(space);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
    EXPECT_EQ(program.store(at + half, 6), Outcome::done);
    for (const Prot denied : {Prot::none(), Prot::read()}) {
      ASSERT_TRUE(space.protect(at, half, denied).ok());
      ASSERT_TRUE(space.protect(at + half, half + pages(1), denied).ok());
      space.check_invariants();
      ASSERT_TRUE(space.protect(at, whole + pages(1), kReadWrite | Prot::execute()).ok());
      EXPECT_EQ(program.at(at), 5U);
      EXPECT_EQ(program.fetch(at), Outcome::done);
      EXPECT_EQ(program.fetch(at + half), Outcome::done);
      EXPECT_EQ(program.at(at + half), 6U);
      EXPECT_EQ(program.store(at + half, 6), Outcome::done);
    }
  }
  space.check_invariants();
  space.destroy();
}

// A processor that keeps the root's entries in registers must hear of a table that took another's place there.
TYPED_TEST(Sharing, AChildLeavesTheTablesThatItsParentKeeps) {
  using F = TypeParam;
  test::SpaceSystem<F> system({.cpus = 2});
  if constexpr (!F::restricts(F::kLevels)) {
    const hosted::CpuScope scope(system.machine(), CpuIndex(1));
    system.machine().current().set_controls({.root_entries_in_registers = true});
  }
  AddressSpace<F>& parent = system.create();
  const VirtAddr at(8 * kPageSize);
  ASSERT_TRUE(parent.map({.address = at, .length = pages(8), .prot = kReadWrite, .placement = Placement::fixed}).ok());
  {
    test::Program<F> program(parent);
    EXPECT_EQ(program.store(at, 1), Outcome::done);
  }
  AddressSpace<F>& child = *parent.fork().value();
  {
    const hosted::CpuScope scope(system.machine(), CpuIndex(1));
    test::Program<F> in_child(child);
    EXPECT_EQ(in_child.at(at), 1U);
    {
      const hosted::CpuScope other(system.machine(), CpuIndex(0));
      const VirtAddr far = at + pages(16);  // in another of the tables below the root's
      ASSERT_TRUE(
          child.map({.address = far, .length = pages(1), .prot = kReadWrite, .placement = Placement::fixed}).ok());
      test::Program<F> in_parent(parent);
      EXPECT_EQ(in_parent.store(at + pages(1), 2), Outcome::done);
    }
    EXPECT_EQ(in_child.at(at + pages(1)), 0U);
  }
  child.destroy();
  parent.destroy();
}

TYPED_TEST(Sharing, WhatWasWrittenBehindTheEndIsGoneWhenAnObjectGrows) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  test::FilePager pager(1, ByteCount(0x7F8));
  MemoryObject<F>* const objects[] = {system.vm().objects.create_file(pager, ByteCount(0x7F8)).value(),
                                      system.vm().objects.create_anonymous(ByteCount(0x7F8)).value()};
  for (MemoryObject<F>* const object : objects) {
    AddressSpace<F>& space = system.create();
    const VirtAddr at =
        space.map({.address = {}, .length = pages(1), .prot = kReadWrite, .traits = Traits::shared(), .object = object})
            .value();
    {
      test::Program<F> program(space);
      EXPECT_EQ(program.store(at, 1), Outcome::done);
      EXPECT_EQ(program.store(at + ByteCount(0x7F8), 2), Outcome::done);
      object->resize(ByteCount(kPageSize));
      EXPECT_EQ(program.at(at + ByteCount(0x7F8)), 0U);
      EXPECT_EQ(program.at(at), 1U);
    }
    space.destroy();
    object->release();
  }
}

TYPED_TEST(Sharing, ACopyThatFailsHalfwaySaysHowFarItCame) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  test::FilePager pager(1, pages(2));
  MemoryObject<F>& file = *system.vm().objects.create_file(pager, pages(2)).value();
  ASSERT_TRUE(file.populate(PageIndex(0)).ok());
  pager.failing = true;
  std::vector<std::byte> buffer(2 * kPageSize, std::byte{7});
  EXPECT_EQ(file.write(ByteCount(0), buffer).value(), pages(1));
  std::vector<std::byte> read(2 * kPageSize);
  EXPECT_EQ(file.read(ByteCount(0), read).value(), pages(1));
  EXPECT_EQ(read[kPageSize - 1], std::byte{7});
  EXPECT_EQ(file.write(pages(1), buffer).error(), Errno::io_error);
  file.release();
}

// Read-only memory larger than RAM that spans tables of several levels: none of it may become writable, not a part.
TEST(SharingAmd64, MprotectPromisesAllOfARegionOrNothing) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const ByteCount size = pages(system.memory().total_count().value() + 600);
  const VirtAddr at((1U << 30) - 3 * kPageSize);
  ASSERT_TRUE(space.map({.address = at, .length = size, .prot = Prot::read(), .placement = Placement::fixed}).ok());
  const Result<void> result = space.protect(at, size, kReadWrite);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error(), Errno::no_memory);
  {
    test::Program<Amd64> program(space);
    EXPECT_EQ(program.store(at, 1), Outcome::access_denied);
  }
  EXPECT_TRUE(space.protect(at, pages(600), kReadWrite).ok());
  space.destroy();
}

}  // namespace
}  // namespace vellum
