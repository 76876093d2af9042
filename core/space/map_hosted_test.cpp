#include <vellum/test/test.hpp>

#include "test/fixture.hpp"

namespace vellum {
namespace {

template <class F>
class Spaces : public ::testing::Test {};
using Formats = ::testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(Spaces, Formats);

constexpr Prot kReadWrite = Prot::read() | Prot::write();

TYPED_TEST(Spaces, AnonymousMemoryIsZeroUntilWritten) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space = system.create();
  {
    const Result<VirtAddr> at = space.map({.address = {}, .length = ByteCount(4 * kPageSize), .prot = kReadWrite});
    ASSERT_TRUE(at.ok());
    test::Program<F> program(space);
    EXPECT_EQ(program.at(at.value()), 0U);
    EXPECT_EQ(program.store(at.value(), 42), test::Outcome::done);
    EXPECT_EQ(program.at(at.value()), 42U);
    EXPECT_EQ(program.store(at.value() + ByteCount(3 * kPageSize), 43), test::Outcome::done);
    EXPECT_EQ(program.at(at.value() + ByteCount(3 * kPageSize)), 43U);
    space.check_invariants();
    EXPECT_EQ(space.residence().pages, PageCount(2));
    ASSERT_TRUE(space.unmap(at.value(), ByteCount(2 * kPageSize)).ok());
    space.check_invariants();
    EXPECT_EQ(program.store(at.value(), 1), test::Outcome::no_mapping);
    EXPECT_EQ(program.at(at.value() + ByteCount(3 * kPageSize)), 43U);
  }
  space.destroy();
}

TYPED_TEST(Spaces, ForkCopiesWhatIsWritten) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& parent = system.create();
  const VirtAddr at = parent.map({.address = {}, .length = ByteCount(16 * kPageSize), .prot = kReadWrite}).value();
  {
    test::Program<F> program(parent);
    for (std::uint64_t page = 0; page < 16; page += 2) {
      EXPECT_EQ(program.store(at + ByteCount(page * kPageSize), page + 100), test::Outcome::done);
    }
  }
  AddressSpace<F>& child = *parent.fork().value();
  {
    test::Program<F> program(child);
    EXPECT_EQ(program.at(at + ByteCount(2 * kPageSize)), 102U);
    EXPECT_EQ(program.store(at + ByteCount(2 * kPageSize), 1), test::Outcome::done);
    EXPECT_EQ(program.store(at + ByteCount(3 * kPageSize), 2), test::Outcome::done);
    EXPECT_EQ(program.at(at + ByteCount(2 * kPageSize)), 1U);
  }
  {
    test::Program<F> program(parent);
    EXPECT_EQ(program.at(at + ByteCount(2 * kPageSize)), 102U);
    EXPECT_EQ(program.at(at + ByteCount(3 * kPageSize)), 0U);
    EXPECT_EQ(program.store(at + ByteCount(4 * kPageSize), 3), test::Outcome::done);
  }
  {
    test::Program<F> program(child);
    EXPECT_EQ(program.at(at + ByteCount(4 * kPageSize)), 104U);
  }
  parent.check_invariants();
  child.check_invariants();
  parent.destroy();
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Spaces, ProtectChangesPartOfAMapping) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space = system.create();
  const VirtAddr at = space.map({.address = {}, .length = ByteCount(40 * kPageSize), .prot = kReadWrite}).value();
  {
    test::Program<F> program(space);
    for (std::uint64_t page = 0; page < 40; ++page) {
      EXPECT_EQ(program.store(at + ByteCount(page * kPageSize), page), test::Outcome::done);
    }
    ASSERT_TRUE(space.protect(at + ByteCount(kPageSize), ByteCount(17 * kPageSize), Prot::read()).ok());
    space.check_invariants();
    EXPECT_EQ(program.store(at + ByteCount(kPageSize), 7), test::Outcome::access_denied);
    EXPECT_EQ(program.at(at + ByteCount(kPageSize)), 1U);
    EXPECT_EQ(program.store(at, 7), test::Outcome::done);
    ASSERT_TRUE(space.protect(at, ByteCount(40 * kPageSize), Prot::none()).ok());
    space.check_invariants();
    std::uint64_t value = 0;
    EXPECT_EQ(program.load(at, value), test::Outcome::access_denied);
    ASSERT_TRUE(space.protect(at, ByteCount(40 * kPageSize), kReadWrite).ok());
    space.check_invariants();
    for (std::uint64_t page = 1; page < 40; ++page) {
      EXPECT_EQ(program.at(at + ByteCount(page * kPageSize)), page);
      EXPECT_EQ(program.store(at + ByteCount(page * kPageSize), 9), test::Outcome::done);
    }
  }
  space.destroy();
}

}  // namespace
}  // namespace vellum
