// What wrong arguments are answered with. Each row was tried on Linux.

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::pages;

constexpr std::uint64_t kHighest = ~std::uint64_t{0};

template <class F>
class BadInput : public ::testing::Test {
 protected:
  BadInput()
      : space(system.create(test::inner_layout<F>())),
        object(*system.vm().objects.create_anonymous(pages(64)).value()) {
    lowest = space.layout().user[0].start();
    end = space.layout().user[0].end();
    taken = lowest + pages(20);
    VELLUM_CHECK(space.map({.address = taken, .length = pages(2), .prot = kRead, .placement = Placement::fixed}).ok());
  }
  ~BadInput() override {
    space.destroy();
    object.release();
  }

  // Nothing is as much as a page different.
  void expect_unchanged(const char* what) {
    EXPECT_EQ(test::ranges(space), std::vector{VirtRange::must(taken, pages(2))}) << what;
    EXPECT_EQ(space.mapped(), PageCount(2)) << what;
    space.check_invariants();
  }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  MemoryObject<F>& object;
  VirtAddr lowest;
  VirtAddr end;
  VirtAddr taken;
};
TYPED_TEST_SUITE(BadInput, test::AllFormats);

template <class F>
struct MapRow {
  const char* what;
  Errno expected;
  MapRequest<F> request;
};

TYPED_TEST(BadInput, OfMapGivesLinuxErrors) {
  using F = TypeParam;
  const VirtAddr lowest = this->lowest;
  const VirtAddr end = this->end;
  const VirtAddr beyond(std::uint64_t{1} << F::kVirtualBits);
  const VirtAddr odd(1);
  const ByteCount one = pages(1);
  const Placement fixed = Placement::fixed;
  const Placement fresh = Placement::fixed_no_replace;
  MemoryObject<F>* const file = &this->object;
  const MapRow<F> rows[] = {
      {"no length", Errno::invalid, {.address = {}, .length = pages(0), .prot = kRead}},
      {"no length and a bad address",
       Errno::invalid,
       {.address = odd, .length = pages(0), .prot = kRead, .placement = fixed}},
      {"the longest length", Errno::no_memory, {.address = {}, .length = ByteCount(kHighest), .prot = kRead}},
      {"a length that rounds up to 2^64",
       Errno::no_memory,
       {.address = {}, .length = ByteCount(kHighest - 4094), .prot = kRead}},
      {"longer than the space", Errno::no_memory, {.address = {}, .length = end - lowest + one, .prot = kRead}},
      {"as long as all addresses", Errno::no_memory, {.address = {}, .length = beyond - VirtAddr(0), .prot = kRead}},
      {"offset within a page", Errno::invalid, {.address = {}, .length = one, .prot = kRead, .offset = ByteCount(1)}},
      {"offset within a page of an object",
       Errno::invalid,
       {.address = {}, .length = one, .prot = kRead, .object = file, .offset = ByteCount(kPageSize + 8)}},
      {"offset within a page, too long",
       Errno::invalid,
       {.address = {}, .length = ByteCount(kHighest), .prot = kRead, .offset = ByteCount(1)}},
      {"fixed within a page",
       Errno::invalid,
       {.address = lowest + ByteCount(1), .length = one, .prot = kRead, .placement = fixed}},
      {"fixed within a page at the end",
       Errno::no_memory,
       {.address = end - ByteCount(1), .length = one, .prot = kRead, .placement = fixed}},
      {"fixed at the end", Errno::no_memory, {.address = end, .length = one, .prot = kRead, .placement = fixed}},
      {"fixed across the end",
       Errno::no_memory,
       {.address = end - one, .length = pages(2), .prot = kRead, .placement = fixed}},
      {"fixed beyond translated addresses",
       Errno::no_memory,
       {.address = beyond, .length = one, .prot = kRead, .placement = fixed}},
      {"fixed not canonical",
       Errno::no_memory,
       {.address = VirtAddr(std::uint64_t{1} << 60), .length = one, .prot = kRead, .placement = fixed}},
      {"fixed, wraps",
       Errno::no_memory,
       {.address = VirtAddr(kHighest - 4095), .length = pages(2), .prot = kRead, .placement = fixed}},
      {"fixed, ends at 2^64",
       Errno::no_memory,
       {.address = VirtAddr(kHighest - 4095), .length = one, .prot = kRead, .placement = fixed}},
      {"fixed at null", Errno::not_permitted, {.address = {}, .length = one, .prot = kRead, .placement = fixed}},
      {"fixed just below the lowest",
       Errno::not_permitted,
       {.address = lowest - one, .length = pages(2), .prot = kRead, .placement = fixed}},
      {"fixed within a page below the lowest",
       Errno::invalid,
       {.address = odd, .length = one, .prot = kRead, .placement = fixed}},
      {"fixed below the lowest and too long",
       Errno::no_memory,
       {.address = lowest - one, .length = end - lowest + pages(2), .prot = kRead, .placement = fixed}},
      {"fresh within a page",
       Errno::invalid,
       {.address = lowest + ByteCount(8), .length = one, .prot = kRead, .placement = fresh}},
      {"fresh at the end", Errno::no_memory, {.address = end, .length = one, .prot = kRead, .placement = fresh}},
      {"fresh at null", Errno::not_permitted, {.address = {}, .length = one, .prot = kRead, .placement = fresh}},
      {"fresh where something is",
       Errno::exists,
       {.address = this->taken, .length = one, .prot = kRead, .placement = fresh}},
      {"fresh, the last page is taken",
       Errno::exists,
       {.address = this->taken - pages(3), .length = pages(4), .prot = kRead, .placement = fresh}},
      {"fresh, the first page is taken",
       Errno::exists,
       {.address = this->taken + one, .length = pages(4), .prot = kRead, .placement = fresh}},
      {"fresh around something",
       Errno::exists,
       {.address = this->taken - one, .length = pages(4), .prot = kRead, .placement = fresh}},
      {"shared and growing",
       Errno::invalid,
       {.address = {}, .length = one, .prot = kReadWrite, .traits = Traits::shared() | Traits::grows_down()}},
      {"an object that grows",
       Errno::invalid,
       {.address = {}, .length = one, .prot = kRead, .traits = Traits::grows_down(), .object = file}},
      {"more rights than permitted",
       Errno::access_denied,
       {.address = {},
        .length = one,
        .prot = kReadWrite,
        .maximum = kRead,
        .traits = Traits::shared(),
        .object = file}},
      {"more rights, bad address",
       Errno::no_memory,
       {.address = end, .length = one, .prot = kReadWrite, .maximum = kRead, .placement = fixed, .object = file}},
      {"offset too large",
       Errno::overflow,
       {.address = {}, .length = one, .prot = kRead, .object = file, .offset = ByteCount(0x7FFF'FFFF'FFFF'F000)}},
      {"offset at 2^64",
       Errno::overflow,
       {.address = {}, .length = pages(2), .prot = kRead, .object = file, .offset = ByteCount(kHighest - 4095)}},
      {"more rights, offset too large",
       Errno::overflow,
       {.address = {},
        .length = one,
        .prot = kReadWrite,
        .maximum = kRead,
        .object = file,
        .offset = ByteCount(0x7FFF'FFFF'FFFF'F000)}},
  };
  for (const MapRow<F>& row : rows) {
    const Result<VirtAddr> at = this->space.map(row.request);
    EXPECT_FALSE(at.ok()) << row.what;
    if (at.ok()) {
      ASSERT_TRUE(this->space.unmap(at.value(), row.request.length).ok());
    } else {
      EXPECT_EQ(at.error(), row.expected) << row.what;
    }
    this->expect_unchanged(row.what);
  }
}

TYPED_TEST(BadInput, OfUnmapGivesLinuxErrors) {
  using F = TypeParam;
  struct Row {
    const char* what;
    Errno expected;
    VirtAddr address;
    ByteCount length;
  };
  const VirtAddr beyond(std::uint64_t{1} << F::kVirtualBits);
  const Row rows[] = {
      {"no length", Errno::invalid, this->taken, pages(0)},
      {"within a page", Errno::invalid, this->taken + ByteCount(1), pages(1)},
      {"at the end", Errno::invalid, this->end, pages(1)},
      {"across the end", Errno::invalid, this->end - pages(1), pages(2)},
      {"across the end from what is mapped", Errno::invalid, this->taken, this->end - this->taken + ByteCount(1)},
      {"the longest length", Errno::invalid, this->taken, ByteCount(kHighest)},
      {"wraps to what is mapped", Errno::invalid, this->taken, ByteCount(kHighest - this->taken.value() + 2)},
      {"wraps", Errno::invalid, VirtAddr(kHighest - 4095), pages(2)},
      {"ends at 2^64", Errno::invalid, VirtAddr(kHighest - 4095), pages(1)},
      {"beyond translated addresses", Errno::invalid, beyond, pages(1)},
      {"beyond, where truncation would name what is mapped", Errno::invalid, beyond + (this->taken - VirtAddr(0)),
       pages(1)},
      {"not canonical", Errno::invalid, VirtAddr(std::uint64_t{1} << 60), pages(1)},
  };
  for (const Row& row : rows) {
    const Result<void> result = this->space.unmap(row.address, row.length);
    EXPECT_FALSE(result.ok()) << row.what;
    EXPECT_TRUE(result.ok() || result.error() == row.expected) << row.what;
    this->expect_unchanged(row.what);
  }
  // Not errors: nothing is mapped there.
  EXPECT_TRUE(this->space.unmap(VirtAddr(0), pages(1)).ok());
  EXPECT_TRUE(this->space.unmap(VirtAddr(0), this->taken - VirtAddr(0)).ok());
  EXPECT_TRUE(this->space.unmap(this->lowest, pages(1)).ok());
  EXPECT_TRUE(this->space.unmap(this->end - pages(1), ByteCount(1)).ok());
  this->expect_unchanged("holes");
  // A part of a page is all of it.
  EXPECT_TRUE(this->space.unmap(this->taken, ByteCount(kPageSize + 1)).ok());
  EXPECT_EQ(this->space.mapped(), PageCount(0));
}

TYPED_TEST(BadInput, OfProtectGivesLinuxErrors) {
  using F = TypeParam;
  struct Row {
    const char* what;
    Errno expected;
    VirtAddr address;
    ByteCount length;
  };
  const VirtAddr beyond(std::uint64_t{1} << F::kVirtualBits);
  const Row rows[] = {
      {"within a page", Errno::invalid, this->taken + ByteCount(1), pages(1)},
      {"within a page and no length", Errno::invalid, this->taken + ByteCount(1), pages(0)},
      {"a hole", Errno::no_memory, this->lowest, pages(1)},
      {"a hole before what is mapped", Errno::no_memory, this->taken - pages(1), pages(2)},
      {"below the lowest", Errno::no_memory, VirtAddr(0), pages(1)},
      {"at the end", Errno::no_memory, this->end, pages(1)},
      {"wraps", Errno::no_memory, VirtAddr(kHighest - 4095), pages(2)},
      {"ends at 2^64", Errno::no_memory, VirtAddr(kHighest - 4095), pages(1)},
      {"the longest length from a hole", Errno::no_memory, this->lowest, ByteCount(kHighest)},
      {"wraps to what is mapped", Errno::no_memory, this->taken, ByteCount(kHighest - this->taken.value() + 2)},
      {"the longest length from what is mapped", Errno::no_memory, this->taken, ByteCount(kHighest)},
      {"beyond, where truncation would name what is mapped", Errno::no_memory, beyond + (this->taken - VirtAddr(0)),
       pages(1)},
      {"not canonical", Errno::no_memory, VirtAddr(std::uint64_t{1} << 60), pages(1)},
  };
  for (const Row& row : rows) {
    const Result<void> result = this->space.protect(row.address, row.length, kReadWrite);
    EXPECT_FALSE(result.ok()) << row.what;
    EXPECT_TRUE(result.ok() || result.error() == row.expected) << row.what;
    this->expect_unchanged(row.what);
    EXPECT_TRUE(test::regions(this->space).front().prot == kRead) << row.what;
  }
  EXPECT_TRUE(this->space.protect(this->lowest, pages(0), kReadWrite).ok());
  EXPECT_TRUE(this->space.protect(VirtAddr(std::uint64_t{1} << 60), pages(0), kReadWrite).ok());
  EXPECT_TRUE(this->space.protect(this->taken, ByteCount(kPageSize + 1), kReadWrite).ok());
  EXPECT_TRUE(test::regions(this->space).front().prot == kReadWrite);
  this->expect_unchanged("no length");
}

TYPED_TEST(BadInput, OfFaultIsNoMapping) {
  using F = TypeParam;
  const VirtAddr addresses[] = {
      VirtAddr(0),
      this->lowest - ByteCount(1),
      this->end,
      VirtAddr(std::uint64_t{1} << F::kVirtualBits) + (this->taken - VirtAddr(0)),
      VirtAddr(std::uint64_t{1} << 60),
      VirtAddr(kHighest),
      this->taken - ByteCount(1),
      this->taken + pages(2),
  };
  for (const VirtAddr address : addresses) {
    EXPECT_EQ(this->space.fault(address, Access::read), FaultVerdict::no_mapping);
    EXPECT_EQ(this->space.fault(address, Access::write), FaultVerdict::no_mapping);
    EXPECT_EQ(this->space.fault(address, Access::execute), FaultVerdict::no_mapping);
  }
  EXPECT_EQ(this->space.residence().pages, PageCount(0));
}

}  // namespace
}  // namespace vellum
