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
