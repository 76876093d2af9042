// Empty tables do not pile up.

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

// All tables go in one operation, after which nothing else may be retired for long.
TEST(Prune, TablesOfManyAreFreeAtOnceWhenTheyGo) {
  constexpr std::uint64_t kTables = 1000;
  test::SpaceSystem<Amd64> system;
  const VirtAddr at(std::uint64_t{1} << 40);
  const ByteCount length(kTables * entry_span<Amd64>(2).value() * kPageSize);
  for (const bool unmaps : {true, false}) {
    AddressSpace<Amd64>& space = system.create();
    ASSERT_TRUE(space
                    .map({.address = at,
                          .length = length,
                          .prot = kReadWrite,
                          .traits = Traits::no_reserve(),
                          .placement = Placement::fixed})
                    .ok());
    for (std::uint64_t i = 0; i < kTables; ++i) {
      ASSERT_EQ(space.fault(at + ByteCount(i * entry_span<Amd64>(2).value() * kPageSize), Access::read),
                FaultVerdict::resolved);
    }
    const PageCount used = system.memory().free_count();
    if (unmaps) {
      ASSERT_TRUE(space.unmap(at, length).ok());
      EXPECT_GE(system.memory().free_count() - used, PageCount(kTables));
    }
    space.destroy();
    EXPECT_GE(system.memory().free_count() - used, PageCount(kTables));
  }
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
