// Looking at the way to an address.
#include <vellum/space/path.hpp>
#include <vellum/test/test.hpp>

#include "test/fixture.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::Outcome;

constexpr Prot kReadWrite = Prot::read() | Prot::write();

template <class F>
class PathTo : public ::testing::Test {};
using Formats = ::testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(PathTo, Formats);

template <PageTableFormat F>
const PathStep<F>& last(const SpacePath<F>& path) {
  return path.steps[path.count - 1];
}

TYPED_TEST(PathTo, AnEmptySpaceHasOnlyItsRoot) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space = system.create();
  const SpacePath<F> path = path_to(space, VirtAddr(kPageSize));
  ASSERT_EQ(path.count, 1U);
  EXPECT_EQ(path.steps[0].level, F::kLevels);
  EXPECT_EQ(address_of(path.steps[0].table), space.root_address());
  EXPECT_EQ(path.steps[0].entry, Entry{});
  EXPECT_FALSE(path.steps[0].meaning.has_value());
  EXPECT_FALSE(path.frame_kind.has_value());
  space.destroy();
}

TYPED_TEST(PathTo, ATouchedPageIsFoundAtTheLeafAndItsMeaningOnce) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space = system.create();
  const ByteCount table = bytes_of(entry_span<F>(2));
  const VirtAddr at(2 * table.value());
  ASSERT_TRUE(space.map({.address = at, .length = table, .prot = kReadWrite, .placement = Placement::fixed}).ok());
  EXPECT_EQ(test::Program<F>(space).store(at, 5), Outcome::done);
  const SpacePath<F> path = path_to(space, at);
  ASSERT_EQ(path.count, F::kLevels);
  unsigned meanings = 0;
  for (unsigned i = 0; i < path.count; ++i) {
    EXPECT_EQ(path.steps[i].level, F::kLevels - i);
    EXPECT_EQ(path.steps[i].slot, entry_index<F>(at, F::kLevels - i));
    EXPECT_EQ(path.steps[i].paths, 1U);
    if (i > 0) {
      EXPECT_EQ(path.steps[i].table, F::frame(path.steps[i - 1].entry, path.steps[i - 1].level));
    }
    if (path.steps[i].meaning) {
      ++meanings;
      EXPECT_EQ(path.steps[i].meaning->prot, kReadWrite);
      EXPECT_EQ(path.steps[i].meaning->pages, VpnRange::must(vpn_of<F>(at), whole_pages(table)));
      EXPECT_FALSE(path.steps[i].meaning->of_object);
    }
  }
  EXPECT_EQ(meanings, 1U);
  EXPECT_TRUE(F::is_present(last(path).entry));
  EXPECT_EQ(path.frame_kind, FrameKind::anonymous);
  EXPECT_EQ(path.frame_share, 1U);
  space.destroy();
}

// What fork shares is seen: the child's root names the same tables.
TYPED_TEST(PathTo, AForkedChildIsLedToTheSameFrame) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space = system.create();
  const VirtAddr at(2 * bytes_of(entry_span<F>(2)).value());
  ASSERT_TRUE(
      space.map({.address = at, .length = ByteCount(kPageSize), .prot = kReadWrite, .placement = Placement::fixed})
          .ok());
  EXPECT_EQ(test::Program<F>(space).store(at, 5), Outcome::done);
  AddressSpace<F>& child = *space.fork().value();
  const SpacePath<F> path = path_to(space, at);
  const SpacePath<F> of_child = path_to(child, at);
  ASSERT_EQ(path.count, F::kLevels);
  ASSERT_EQ(of_child.count, F::kLevels);
  EXPECT_NE(path.steps[0].table, of_child.steps[0].table);
  EXPECT_EQ(path.steps[1].table, of_child.steps[1].table);
  EXPECT_EQ(path.steps[1].paths, 2U);
  EXPECT_EQ(last(path).table, last(of_child).table);
  EXPECT_EQ(last(path).entry, last(of_child).entry);
  child.destroy();
  space.destroy();
}

// A table-sized, aligned piece of one object: one table for all who map it.
TYPED_TEST(PathTo, ATableOfAnObjectIsOneForAllWhoMapIt) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  const ByteCount table = bytes_of(entry_span<F>(2));
  MemoryObject<F>& file = *system.vm().objects.create_file(system.new_pager(table), table).value();
  AddressSpace<F>& first = system.create();
  AddressSpace<F>& second = system.create();
  const VirtAddr places[] = {VirtAddr(2 * table.value()), VirtAddr(3 * table.value())};
  AddressSpace<F>* const spaces[] = {&first, &second};
  SpacePath<F> paths[2];
  for (unsigned i = 0; i < 2; ++i) {
    ASSERT_TRUE(spaces[i]
                    ->map({.address = places[i],
                           .length = table,
                           .prot = kReadWrite,
                           .traits = Traits::shared(),
                           .placement = Placement::fixed,
                           .object = &file})
                    .ok());
    EXPECT_EQ(test::Program<F>(*spaces[i]).store(places[i] + ByteCount(kPageSize), i), Outcome::done);
    paths[i] = path_to(*spaces[i], places[i] + ByteCount(kPageSize));
    ASSERT_EQ(paths[i].count, F::kLevels);
  }
  paths[0] = path_to(first, places[0] + ByteCount(kPageSize));
  EXPECT_EQ(last(paths[0]).table, last(paths[1]).table);
  EXPECT_TRUE(last(paths[0]).of_object);
  EXPECT_EQ(F::frame(last(paths[0]).entry, 1), F::frame(last(paths[1]).entry, 1));
  EXPECT_EQ(paths[0].frame_kind, FrameKind::object);
  first.destroy();
  second.destroy();
  file.release();
}

}  // namespace
}  // namespace vellum
