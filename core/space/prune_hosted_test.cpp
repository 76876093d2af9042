// Empty tables do not pile up.

#include <algorithm>

#include <vellum/test/test.hpp>

#include "test/fixture.hpp"

namespace vellum {
namespace {

constexpr Prot kReadWrite = Prot::read() | Prot::write();

TEST(Prune, MappingTouchingAndUnmappingAcrossTheSpaceLeavesFewTables) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const PageCount before = space.residence().tables;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const VirtAddr at((std::uint64_t{1} << 40) + i * (std::uint64_t{7} << 31));
    ASSERT_TRUE(
        space
            .map({.address = at, .length = ByteCount(3 * kPageSize), .prot = kReadWrite, .placement = Placement::fixed})
            .ok());
    ASSERT_EQ(space.fault(at + ByteCount(kPageSize), Access::write), FaultVerdict::resolved);
    ASSERT_TRUE(space.unmap(at, ByteCount(3 * kPageSize)).ok());
  }
  EXPECT_LE(space.residence().tables - before, PageCount(24));
  space.check_invariants();
  space.destroy();
}

// They are much of the memory of a space that is written here and there, and somebody may be waiting for it.
TEST(Prune, ASpaceThatEndsGivesItsTablesBackAtOnce) {
  constexpr std::uint64_t kTables = 1000;
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const PageCount before = system.memory().free_count();
  const VirtAddr at(std::uint64_t{1} << 40);
  const ByteCount apart(std::uint64_t{2} << 20);
  ASSERT_TRUE(space.map({.address = at, .length = ByteCount(kTables * apart.value()), .prot = Prot::read()}).ok());
  const VirtAddr mapped = space.region_at_or_after(VirtAddr(0))->range.start();
  for (std::uint64_t i = 0; i < kTables; ++i) {
    ASSERT_EQ(space.fault(mapped + ByteCount(i * apart.value()), Access::read), FaultVerdict::resolved);
  }
  EXPECT_GE(before - system.memory().free_count(), PageCount(kTables));
  space.destroy();
  EXPECT_LE(before - std::min(before, system.memory().free_count()), PageCount(300));  // what is kept for the next
}

// The other side of it: a page that comes and goes keeps its table.
TEST(Prune, MappingAndUnmappingInOnePlaceAllocatesNoTables) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at(std::uint64_t{1} << 40);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(space.map({.address = at, .length = ByteCount(kPageSize), .prot = kReadWrite}).ok());
    ASSERT_TRUE(space.unmap(at, ByteCount(kPageSize)).ok());
    system.memory().drain_caches();
  }
  system.machine().failures().count();
  const std::uint64_t asked = system.machine().failures().asks();
  ASSERT_TRUE(space.map({.address = at, .length = ByteCount(kPageSize), .prot = kReadWrite}).ok());
  ASSERT_TRUE(space.unmap(at, ByteCount(kPageSize)).ok());
  EXPECT_EQ(system.machine().failures().asks(), asked);
  space.destroy();
}

}  // namespace
}  // namespace vellum
